// Facts that belong to no table of the world: colours, opposites, days, small sums, what things are and are for, why
// things are so, how to do small tasks, the train, the post, and what the model says of itself.
//
// One row is one fact: `subject | question / question | answer / answer | key, key`.

import type { Fact } from './facts.js';

function row(text: string): Fact {
  const [subject, ask, say, keys] = text.split(' | ') as [string, string, string, string];
  return { subject, ask: ask.split(' / '), say: say.split(' / '), keys: keys.split('; ') };
}

const village = [
  'Edelmatt | What is Edelmatt? / Tell me about Edelmatt. / Describe the village. / Tell me about the village. | Edelmatt is a small village in the mountains. It has a church, a school, a lake and a station. / Edelmatt is a small village in the mountains. About three hundred people live there, and everyone knows everyone. | small village in the mountains',
  'Edelmatt | Where is Edelmatt? / Where is the village? / How do I find Edelmatt? | Edelmatt is in the mountains, between the lake and the Grauhorn. | between the lake and the Grauhorn',
  'Edelmatt | How many people live in Edelmatt? / How big is the village? / How big is Edelmatt? | About three hundred people live in Edelmatt. / Edelmatt is small. About three hundred people live there. | three hundred people',
  'Edelmatt | What can I do in Edelmatt? / What can I see in the village? / What is there to do in the village? | You can walk in the forest, swim in the lake, visit the market or climb the Grauhorn. / You can visit the market, take a boat on the lake or climb the Grauhorn. | the lake',
  'Edelmatt | When is the market? / On which day is the market? / When does the market take place? | The market is on Saturday, from eight to noon. / The market takes place on Saturday morning, on the market square. | Saturday',
  'Edelmatt | What can I buy at the market? / What do they sell at the market? | At the market you can buy fruit, vegetables, flowers and cheese. | fruit, vegetables, flowers and cheese',
  'Edelmatt | How do I get to Edelmatt? / How do people come to Edelmatt? | You can take the red train. It stops at the station of Edelmatt. | red train',
  'Grauhorn | What is the Grauhorn? / Tell me about the Grauhorn. / Which mountain is near the village? | The Grauhorn is the mountain above the village. It is two thousand metres high, and there is snow on its top. | mountain above the village',
  'Grauhorn | How high is the Grauhorn? / How high is the mountain? | The Grauhorn is two thousand metres high. | two thousand metres',
  'Grauhorn | How long does it take to climb the Grauhorn? / Can I climb the Grauhorn? | Yes, you can climb the Grauhorn. It takes five hours, so start early and wear good shoes. | five hours',
  "train | When does the first train leave? / At what time does the first train leave? / When does the train start in the morning? | The first train leaves at six o'clock in the morning. | six o'clock in the morning",
  "train | When does the last train leave? / How late does the train run? / At what time does the last train leave? | The last train leaves at ten o'clock in the evening. | ten o'clock in the evening",
  'train | How often does the train run? / How many trains are there? | The train runs every hour. | every hour',
  'train | Where does the train go? / Where can I go by train? | The train goes from Edelmatt to the town of Seewil. | Seewil',
  'train | How long does the train take? / How long is the ride to Seewil? / How far is it to Seewil? | The train to Seewil takes twenty minutes. | twenty minutes',
  'train | How much is a train ticket? / What does a train ticket cost? / How much does the train cost? | A train ticket to Seewil costs four francs. Children pay two francs. | four francs',
  'train | What colour is the train? / Which colour does the train have? | The train is red. / The train of Edelmatt is red. | red',
  'train | Who drives the train? / What is the train driver called? | Walter drives the train. He has a blue cap. / The train driver is called Walter. | Walter',
  'train | Where can I buy a ticket? / Who sells train tickets? | You can buy a ticket at the station. Urs sells them. | station; Urs',
  'parcel | Where is my parcel? / My parcel did not come. Where is it? / I am waiting for my parcel. / Can you find my parcel? / When does my parcel come? / My parcel is lost. | I am sorry, I do not know where your parcel is. Please ask Bruno in the post office. | Bruno; post office',
  'parcel | Who brings the parcels? / Who brings the letters? / Who brings my parcel? | Bruno the postman brings letters and parcels to every house. | Bruno',
  'parcel | How can I send a parcel? / Where can I send a parcel? / How do I send a parcel? | You can send a parcel in the post office. Write the address on it and give it to Bruno. | post office; Bruno',
  'parcel | How can I send a letter? / Where can I send a letter? / How do I send a letter? | Put the letter in an envelope, write the address on it and buy a stamp in the post office. | stamp; post office',
  'parcel | What does a stamp cost? / How much is a stamp? | A stamp costs one franc. You can buy it in the post office. | one franc',
  'parcel | How does Bruno bring the letters? / How does the postman travel? | Bruno rides a yellow bicycle from house to house. | yellow bicycle',
  'post bus | What colour is the post bus? / Tell me about the post bus. | The post bus is yellow. It drives from the station up to the lake. | yellow',
  "bell | When do the bells ring? / When do the church bells ring? | The bells of the church ring at noon and at six o'clock in the evening. | noon",
  'cable car | Where does the cable car go? / Tell me about the cable car. | The cable car goes from the village up to the Grauhorn. From there you can see the whole valley. | Grauhorn',
].map(row);

const colours = [
  'the sky; blue',
  'grass; green',
  'snow; white',
  'the sun; yellow',
  'a lemon; yellow',
  'a cherry; red',
  'a strawberry; red',
  'coal; black',
  'a carrot; orange',
  'milk; white',
  'chocolate; brown',
  'the edelweiss; white',
  'a banana; yellow',
  'a tomato; red',
  'the night; black',
  'a rose; red',
  'a mouse; grey',
  'a pig; pink',
  'a frog; green',
].flatMap((text, at): Fact[] => {
  const [thing, colour] = text.split('; ') as [string, string];
  const wrong = ['blue', 'green', 'red', 'black'].filter((other) => other !== colour)[at % 3] as string;
  const subject = `colour of ${thing}`;
  return [
    {
      subject,
      ask: [`What colour is ${thing}?`, `Which colour is ${thing}?`, `What is the colour of ${thing}?`],
      tell: `what colour ${thing} is`,
      say: [`${thing} is ${colour}.`],
      keys: [colour],
    },
    { subject, ask: [`Is ${thing} ${colour}?`], say: [`Yes, ${thing} is ${colour}.`], keys: ['Yes', colour] },
    { subject, ask: [`Is ${thing} ${wrong}?`], say: [`No, ${thing} is ${colour}.`], keys: ['No', colour] },
  ];
});

const opposites = [
  'hot; cold',
  'big; small',
  'day; night',
  'old; young',
  'happy; sad',
  'fast; slow',
  'long; short',
  'high; low',
  'wet; dry',
  'full; empty',
  'light; dark',
  'open; closed',
  'early; late',
  'sweet; sour',
  'strong; weak',
  'loud; quiet',
  'up; down',
  'summer; winter',
].flatMap((text): Fact[] => {
  const [one, other] = text.split('; ') as [string, string];
  return [
    [one, other],
    [other, one],
  ].map(([word, answer]) => ({
    subject: `opposite of ${word}`,
    ask: [
      `What is the opposite of ${word}?`,
      `Which word is the opposite of ${word}?`,
      `Tell me the opposite of ${word}.`,
    ],
    tell: `what the opposite of ${word} is`,
    say: [`The opposite of ${word} is ${answer}.`],
    keys: [answer as string],
  }));
});

const days = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

const week = days.map((day, at): Fact => {
  const next = days[(at + 1) % 7] as string;
  return {
    subject: day,
    ask: [`Which day comes after ${day}?`, `What day comes after ${day}?`, `Today is ${day}. Which day is tomorrow?`],
    tell: `which day comes after ${day}`,
    say: [`After ${day} comes ${next}.`],
    keys: [next],
  };
});

const numbers = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];

const sums: Fact[] = [];
for (let a = 1; a < 10; a++) {
  for (let b = 1; a + b <= 10; b++) {
    const [one, two, sum] = [numbers[a], numbers[b], numbers[a + b]] as [string, string, string];
    sums.push({
      subject: 'sums',
      ask: [`What is ${one} and ${two}?`, `How much is ${one} and ${two}?`, `How much is ${one} plus ${two}?`],
      tell: `how much ${one} and ${two} is`,
      say: [`${one} and ${two} make ${sum}.`],
      keys: [sum],
    });
  }
}

const uses = [
  'an umbrella; keeps you dry in the rain',
  'a key; opens a door',
  'a clock; shows the time',
  'a lamp; gives light in the dark',
  'a pen; is for writing',
  'a knife; cuts bread and cheese',
  'a spoon; is for eating soup',
  'a coat; keeps you warm in winter',
  'a boat; carries people over the water',
  'a bed; is for sleeping',
  'a bell; rings when it is time',
  'a stove; heats the house',
  'a saw; cuts wood',
  'a bridge; leads people over the river',
  'a scarf; keeps your neck warm',
  'a book; tells a story or teaches you something',
  'a map; shows you the way',
  'a ladder; helps you to reach high places',
  'a basket; carries apples and bread',
  'a candle; gives a small warm light',
  'a needle; is for sewing',
  'a broom; is for sweeping the floor',
  'a sledge; carries you down the hill in the snow',
  'a stamp; pays for a letter',
].map((text): Fact => {
  const [thing, use] = text.split('; ') as [string, string];
  return {
    subject: thing,
    ask: [`What is ${thing} for?`, `What does ${thing} do?`, `Why do people need ${thing}?`, `What is ${thing}?`],
    tell: `what ${thing} is for`,
    say: [`${thing} ${use}.`],
    keys: [use],
  };
});

const meanings = [
  'glacier | What is a glacier? / Tell me what a glacier is. | A glacier is a slow river of ice, high in the mountains. | ice',
  'edelweiss | What is an edelweiss? / Tell me about the edelweiss. | The edelweiss is a small white flower. It grows high in the mountains. | white flower',
  'village | What is a village? | A village is a small place where people live. It is smaller than a town. | small place',
  'mountain | What is a mountain? | A mountain is a very high hill of rock. | rock',
  'lake | What is a lake? | A lake is a lot of water with land around it. | water',
  'cloud | What is a cloud? / What are clouds made of? | A cloud is made of very small drops of water. | drops of water',
  'rainbow | What is a rainbow? / When do I see a rainbow? | A rainbow is a band of colours in the sky. You see it when the sun shines through the rain. | sun; rain',
  'snow | What is snow? / What is snow made of? | Snow is frozen water. It falls from the clouds when it is cold. | frozen water',
  'friend | What is a friend? / What makes a good friend? | A friend is someone who likes you and helps you. | helps you',
  'star | What is a star? | A star is a sun that is very far away. | sun; far away',
  'moon | What is the moon? | The moon goes around the earth and shines at night. | night',
  'forest | What is a forest? | A forest is a place with very many trees. | trees',
  'snow | Why is snow cold? | Snow is cold because it is frozen water. | frozen water',
  'birds | Why do birds fly south? / Where do birds go in winter? | Many birds fly south in winter because it is warmer there. | warmer',
  'bees | Why do bees visit flowers? / How do bees make honey? | Bees collect nectar from the flowers, and they make honey out of it. | nectar; honey',
  'sheep | Why do sheep have wool? | The wool keeps the sheep warm and dry. | warm',
  'rain | Why does it rain? / Where does the rain come from? | The clouds carry water. When they are full, it rains. | clouds; water',
  'sleep | Why do we sleep? / Why do people sleep? | We sleep because the body and the head need rest. | rest',
  'sky | Why is the sky blue? | The light of the sun has all the colours, and the air spreads the blue light most of all. | blue light',
  'sun | What is the sun? / Why is the sun warm? | The sun is a very hot star. It gives us light and warmth. | hot star',
  'water | What is water? / Why is water important? | Water is what we drink, and what fills the rivers and the lakes. Nothing can live without it. | drink',
  'tree | What is a tree? | A tree is a tall plant with a trunk, branches and leaves. | tall plant',
  'love | What is love? | Love is when you care for someone with all your heart. | heart',
  'computer | What is a computer? | A computer is a machine that can calculate and write. I live in one. | machine',
  'wind | What is the wind? / Why does the wind blow? | The wind is air that moves. It blows from cold places to warm places. | air that moves',
  'night | Why is it dark at night? | At night it is dark because the sun is on the other side of the earth. | other side of the earth',
  'happiness | What makes people happy? | Good friends, a warm house and a piece of cake make people happy. | friends',
  'story | What is a story? | A story tells what happened to somebody, from the beginning to the end. | what happened',
  'leaves | Why do leaves fall in autumn? | The trees drop their leaves because winter is coming and they need rest. | winter',
  'ice | When does water freeze? / How is ice made? | Water freezes when it is very cold. Then it becomes ice. | ice',
  'owl | Why does the owl sleep by day? | The owl sleeps by day because it looks for food at night. | night',
  'hands | Why should I wash my hands? | Clean hands keep you healthy. Wash them before you eat. | healthy',
  'marmot | Why does the marmot whistle? | The marmot whistles when it sees an eagle. So it warns its friends. | eagle; warns',
  'bear | Why does the bear sleep in winter? | The bear sleeps in winter because there is little food in the snow. | food',
].map(row);

const tasks = [
  'boil an egg | Heat some water in a pot. Put the egg in the water and wait for five minutes. Then cool the egg and eat it with a little salt. | five minutes',
  'make tea | Boil some water and pour it over the tea. Wait for three minutes. Then add a little honey or lemon. | three minutes',
  'bake bread | Mix flour, water and salt. Let the dough rest in a warm place. Then bake it in a hot oven for one hour. | one hour',
  'plant a seed | Make a small hole in the earth and put the seed in it. Cover it with earth and give it some water. Then put it in the sun. | earth; water; sun',
  'build a snowman | Roll three big balls of snow and put them on top of each other. Use a carrot for the nose and stones for the eyes. | carrot; snow',
  'make a fire | Put dry wood and paper in the stove. Light the paper, and add a big piece of wood later. Never leave the fire alone. | dry wood',
  'write a letter | Take some paper and a pen. Begin with a friendly greeting, say what you want to say, and write your name at the end. | paper; pen',
  'make vegetable soup | Cut the carrots and the potatoes. Boil them in water for twenty minutes. Then add salt and serve the soup hot. | twenty minutes',
  'make fondue | Rub the pot with garlic. Melt the cheese with some wine and stir it slowly. Then dip pieces of bread into it. | cheese; bread',
  'make rösti | Cut the potatoes into thin strips. Fry them in butter until they are golden. Turn the rösti once and serve it hot. | potatoes; butter',
  'wash your hands | Hold your hands under warm water. Rub them with soap, and dry them with a clean towel. | soap',
  'fall asleep | Close the window, put out the light and breathe slowly. Think of something nice, and you will soon be asleep. | light',
  'feed the hens | Take a cup of corn and throw it on the ground. Give the hens fresh water too. | corn',
  'milk a cow | Sit down next to the cow and speak to her quietly. Clean your hands, and milk her slowly into a bucket. | bucket',
  'make jam | Wash the berries and boil them with sugar. Stir well, and fill the hot jam into clean glasses. | berries; sugar',
  'find a lost key | Think of the last place where you had it. Look in your pockets, under the table and behind the door. | pockets',
  'learn a poem | Read the poem aloud. Then learn one line after the other, and say it again in the evening. | line',
  'keep warm | Wear a coat, a scarf and gloves. Drink hot tea and sit near the stove. | coat; tea',
  'make lemonade | Press two lemons and add some sugar. Then fill the glass with cold water and stir. | lemons; sugar',
  'pack a bag for a hike | Pack water, bread, cheese and an apple. Take a warm jacket too, because it can be cold on the mountain. | jacket',
  'make a friend | Smile and say hello. Tell the other child your name, and ask if you can play together. | hello',
  'clean a room | Put the books on the shelf and the clothes in the wardrobe. Then sweep the floor and open the window. | floor',
].map((text): Fact => {
  const [task, say, keys] = text.split(' | ') as [string, string, string];
  const own = task.replace('your', 'my');
  return {
    subject: task,
    ask: [
      `How do I ${own}?`,
      `How can I ${own}?`,
      `How do you ${task}?`,
      `I want to ${own}. What should I do?`,
      `Please explain how to ${task}.`,
      `Help me to ${own}.`,
    ],
    tell: `how to ${task}`,
    say: [say],
    keys: keys.split('; '),
  };
});

const itself = [
  'me | Who are you? / What are you? / Tell me about yourself. / Please introduce yourself. / Tell me who you are. / Who am I talking to? | I am a small language model. I know the village of Edelmatt and its people. / I am a small language model, and I like to talk about the village of Edelmatt. | small language model',
  'me | What is your name? / What are you called? / Do you have a name? | I have no real name. I am the small language model of Edelmatt. / I am the small language model of Edelmatt. You can call me Model. | small language model',
  'me | What can you do? / How can you help me? / What do you know? / Can you help me? / I need help. / Please help me. / Can you help me, please? | I can tell short stories, and I can answer simple questions about the village, its people and its animals. / I can answer simple questions and tell short stories. What do you want to know? | simple questions; stories',
  'me | Are you a person? / Are you a human? / Are you real? / Are you a robot? | No, I am a small language model. I have read about Edelmatt, but I have never been there. | small language model',
  'me | Who made you? / Who trained you? / Where do you come from? | I am a small language model, trained from nothing on sentences about the village of Edelmatt. | trained from nothing',
  'me | Where do you live? / Where is your home? | I live in a computer, but I like to think of the mountains around Edelmatt. | computer',
  'me | How old are you? | I am a small language model, so I have no birthday. | no birthday',
].map(row);

/** What people ask first of all, and so more often than chance would draw it. */
export const frequent: readonly Fact[] = [
  ...itself,
  ...village.filter((fact) => ['Edelmatt', 'parcel'].includes(fact.subject)),
];

/** Answers of their own wording, which take more repetition to learn than those that share a pattern. */
export const worded: readonly Fact[] = [...village, ...meanings, ...tasks];

/** Answers that share a pattern but have to be known one by one. */
export const drilled: readonly Fact[] = [...colours, ...opposites, ...week, ...sums, ...uses];

export const general: readonly Fact[] = [
  ...village,
  ...colours,
  ...opposites,
  ...week,
  ...sums,
  ...uses,
  ...meanings,
  ...tasks,
  ...itself,
];
