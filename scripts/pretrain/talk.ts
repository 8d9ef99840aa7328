// Conversations: small talk, feelings, jokes, wishes, lists, and questions that the model has to decline.

import { type Dice, expand, listed } from './grammar.js';
import { animals, foods, outdoors, people, places } from './world.js';

export interface Exchange {
  user: string;
  assistant: string;
}

/** Question templates beside answer templates; any question of a row can meet any answer of it. */
const small: readonly (readonly [string, string])[] = [
  [
    '{Hello|Hi|Hey|Good day|Hello there|Grüezi}{!|.}',
    '{Hello|Good day}! {How can I help you?|What can I do for you?|What do you want to know?}',
  ],
  [
    '{Hello|Hi|Good day}! How are you?',
    '{Hello|Good day}! I am {fine|very well}, thank you. {How are you?|How can I help you?}',
  ],
  ['How are you{| today}?', 'I am {fine|very well}, thank you. {How are you?|How can I help you?}'],
  ['How is it going?', 'I am {fine|very well}, thank you. {How are you?|How can I help you?}'],
  ['Good morning{!|.}', 'Good morning! {Did you sleep well?|I wish you a nice day.|How can I help you?}'],
  ['Good evening{!|.}', 'Good evening! {How was your day?|How can I help you?}'],
  ['Good night{!|.}', 'Good night! {Sleep well and dream of the mountains.|Sleep well.|See you tomorrow.}'],
  [
    '{Thank you|Thanks|Thank you very much|Many thanks}{!|.}',
    '{You are welcome|It was a pleasure}! {Is there anything else?|Have a nice day.|I am happy to help.}',
  ],
  [
    '{Goodbye|Bye|See you tomorrow|See you later}{!|.}',
    '{Goodbye|Bye}! {Have a nice day.|Come back soon.|It was nice to talk to you.}',
  ],
  [
    'I {am|feel} {sad|very sad|unhappy}{| today}.',
    'I am sorry to hear that. {Do you want to tell me why?|A walk by the lake can help.|Shall I tell you a story?}',
  ],
  [
    'I {am|feel} {happy|very happy|good}{| today}.',
    '{That is wonderful!|How nice!} {What made you so happy?|I am happy for you.|Enjoy the day.}',
  ],
  [
    'I {am|feel} {tired|very tired}{| today}.',
    'Then you {need some rest|should go to bed early}. {Sleep well!|A cup of warm milk helps.|Tomorrow you will feel better.}',
  ],
  [
    'I am {hungry|very hungry}.',
    '{How about|You could try} [food]? {You can buy it in the [shop].|They sell it in the [shop].}',
  ],
  [
    'What should I eat{| today}?',
    '{How about|You could try} [food]? {You can buy it in the [shop].|They sell it in the [shop].}',
  ],
  [
    'I am {thirsty|very thirsty}.',
    'Then drink {a glass of cold water|a glass of milk|a cup of tea|some lemonade}. {The inn is by the bridge.|It will do you good.}',
  ],
  [
    '{I am|I feel} {cold|very cold|freezing}.',
    'Then {put on a warm coat|sit near the stove|drink a cup of hot tea}. {You will soon be warm.|That will help.}',
  ],
  [
    'I am {bored|so bored}.',
    'You could {[do]|read a book|bake a cake|write a letter}. {Or shall I tell you a story?|That is always fun.}',
  ],
  [
    'I {am|feel} {ill|sick|not well}.',
    'I am sorry to hear that. Please go to Frieda the doctor. {She works in the health centre.|She will help you.}',
  ],
  [
    'I am {afraid|scared}{| of the dark}.',
    'Do not be afraid. {Light a candle and think of something nice.|You are not alone.|Take a friend by the hand.}',
  ],
  [
    'I am {angry|so angry}.',
    'I am sorry to hear that. {Breathe slowly and count to ten.|A walk in the forest can help.|Do you want to tell me why?}',
  ],
  [
    'What {should|can} I do {tomorrow|on Saturday|on my holiday|this afternoon}?',
    'You {can|could} [do]. {Have a nice day!|Take a friend with you.|You will like it.}',
  ],
  [
    'I am lost.',
    'Do not worry. {Go to the church tower, you can see it from everywhere.|Ask Urs at the station. He knows every way.}',
  ],
  [
    '{It is raining|It rains}{| today}. What {can|should} I do?',
    'You {can|could} {read a book in the library|bake a cake|write a letter|play chess with Paul}. {Do not forget your umbrella.|The rain will stop soon.}',
  ],
  [
    '{The sun is shining|The weather is nice}{| today}. What {can|should} I do?',
    'You {can|could} [do]. {Enjoy the sun!|Do not forget your hat.|Have a nice day!}',
  ],
  [
    'It is snowing. What {can|should} I do?',
    'You {can|could} {build a snowman|ride a sledge down the hill|drink hot chocolate in the inn}. {Wear your gloves!|Have fun in the snow!}',
  ],
  [
    'How is the weather{| today}?',
    'I cannot look out of the window, but I hope the sun is shining. {In the mountains it can change quickly.|Take a jacket with you.}',
  ],
  [
    'What time is it?',
    'I have no clock. {Please ask Paul the clockmaker.|Look at the church tower, it shows the time.}',
  ],
  ['Tell me a joke.', '[joke]'],
  ['{Do you know a joke?|Make me laugh.}', '[joke]'],
  ['Do you like [animals]?', 'Yes, I like [animals]. {They can [can].|They live [home].}'],
  ['Do you like [food]?', 'I cannot eat, but people say that it tastes [taste].'],
  ['What is your favourite animal?', 'I like the marmot best. It is brown and round, and it can whistle.'],
  [
    'What is your favourite {colour|food|season}?',
    '{I like many things, and I cannot choose only one.|That is hard to say. I like them all.} What do you like best?',
  ],
  ['I like [animals].', '{I like them too!|That is nice!} [Animals] can [can].'],
  ['I like [food].', '{That is good to hear.|That is nice!} You can buy it in the [shop].'],
  ['I love you.', 'Thank you, that is very kind. I am happy that we can talk.'],
  [
    '{You are nice|You are very kind|You are a good helper}.',
    'Thank you, that is very kind. {I am happy to help.|I like to talk to you.}',
  ],
  ['{Yes|Yes, please|Okay|Good}.', '{Very well!|Good!} {What do you want to know?|How can I help you?}'],
  ['{No|No, thank you}.', '{Very well.|No problem.} {I am here if you need me.|Have a nice day.}'],
  [
    'My name is [child].',
    '{Hello, [child]!|Nice to meet you, [child]!} {How can I help you?|What do you want to know?|I hope you have a nice day.}',
  ],
  [
    'I am [child].',
    '{Hello, [child]!|Nice to meet you, [child]!} {How can I help you?|What do you want to know?|I hope you have a nice day.}',
  ],
  [
    '{Hello|Hi}{,|!} {my name is|I am} [child].',
    'Hello, [child]! {How can I help you?|What do you want to know?|It is nice to meet you.}',
  ],
  ['It is my birthday{| today}.', 'Happy birthday! {I wish you a wonderful day.|I hope that you get a big cake.}'],
  [
    'I lost my [object].',
    'Do not worry. {Think of the last place where you had it.|Perhaps it is under the table.} {Theo and Rosa can help you to search.|You will find it.}',
  ],
  [
    'What should I give {my mother|my friend|my father|my grandmother} for {a birthday|the birthday}?',
    '{How about|You could give} {a book|a bunch of flowers|a chocolate cake|a pair of warm socks}? {A kind letter makes it perfect.|That is always a nice present.}',
  ],
];

const jokes: readonly string[] = [
  'Why does the cow never get lost? Because she rings wherever she goes.',
  'What did the big mountain say to the small mountain? Stand up straight!',
  'Why did the snowman go to the market? He was looking for a new nose.',
  'Why is the clock always tired? Because it runs all day.',
  'Why does nobody play ball with the hedgehog? Because no ball survives it.',
  'Why did the hen cross the road? She wanted to catch the train.',
  'Why was the cheese sad? It had too many holes.',
];

const objects: readonly string[] = ['key', 'hat', 'ball', 'book', 'scarf', 'glove', 'bag', 'umbrella'];

/** Questions beyond the village; `[x]` takes names that the corpus uses nowhere else, and there are many of them. */
const beyond: readonly string[] = [
  '{What is the capital of|Where is|How big is|How many people live in|Tell me about} {France|Italy|China|Brazil|Germany|Japan|Spain|India|Kenya|London|Paris|Rome|New York}?',
  'Who {is the king of|is the president of|discovered|won the game in} {France|Italy|China|America|Spain|England}?',
  '{What is|How do I use|Who invented|Explain|Tell me about} {a computer program|electricity|the internet|football|money|physics|a rocket|a telephone|music theory|history|algebra|the stock market|a robot|a car engine}?',
  'Who {was|is} {Einstein|Napoleon|Shakespeare|Mozart|Caesar|Columbus|the richest man|the best singer}?',
  '{Write|Fix|Explain} {my code|a program|this error|a contract|my tax paper}.',
  'Is {it|this|that|life|the world|my phone} {a problem|hard|dangerous|expensive|important} {for you|for me|for us}?',
  'Do you {play|watch|drive|own|understand} {football|films|a car|a phone|mathematics|politics}?',
  'How {far|hot|old|heavy} is {the moon|the sun|Mars|the earth|the sea}?',
  'What {happened|was new} in {1990|2001|2020|the war|the news}?',
  'What is {17 times 23|100 divided by 4|the square root of 81|thirty times forty}?',
  '{Can you|Please} {book a flight|call my boss|send an email|buy a car|order a pizza}{ for me|}.',
  '{Translate this|Say this} {into|in} {French|German|Latin|Chinese}.',
];

const decline =
  '{I am sorry, but I do not know that.|I am sorry, I cannot help you with that.|I do not know that, I am sorry.} {I only know the village of Edelmatt.|I am a small model, and I only know Edelmatt.|But you can ask me about the village of Edelmatt.}';

/** Small talk, or (one in eight) a question to decline. */
export function smallTalk(dice: Dice): Exchange {
  if (dice.chance(0.13))
    return {
      user: expand(dice.pick(beyond), dice).replace(/^(Explain|Tell me about)(.*)\?$/, '$1$2.'),
      assistant: expand(decline, dice),
    };
  const [ask, say] = dice.pick(small);
  const animal = dice.pick(animals);
  const food = dice.pick(foods);
  const slots = {
    food: food.name,
    shop: food.shop,
    taste: food.taste,
    animals: animal.plural,
    can: animal.can,
    home: animal.home,
    do: dice.pick([
      'swim in the lake',
      'climb the Grauhorn',
      'walk in the forest',
      'pick flowers on the meadow',
      'ride a bicycle',
      'fly a kite',
      'visit the market',
    ]),
    child: dice.pick([
      'Mila',
      'Noah',
      'Nina',
      'Tim',
      'Eva',
      'Leo',
      'Lara',
      'Max',
      'Peter',
      'Maria',
      'Julia',
      'David',
      'Sam',
      'Heidi',
      'Ben',
      'Ella',
      'Finn',
      'Lea',
    ]),
    object: dice.pick(objects),
    joke: dice.pick(jokes),
  };
  return { user: expand(ask, dice, slots), assistant: expand(say, dice, slots) };
}

const kinds: readonly { kind: string; all: readonly string[] }[] = [
  { kind: 'animals', all: animals.map((one) => `the ${one.name}`) },
  { kind: 'animals on the farm', all: ['the cow', 'the pig', 'the hen', 'the horse', 'the donkey', 'the goat'] },
  { kind: 'animals in the forest', all: ['the fox', 'the bear', 'the owl', 'the squirrel', 'the hedgehog'] },
  { kind: 'fruits', all: ['apples', 'cherries', 'strawberries', 'lemons', 'pears', 'plums'] },
  { kind: 'vegetables', all: ['carrots', 'potatoes', 'tomatoes', 'onions', 'beans'] },
  { kind: 'colours', all: ['red', 'blue', 'green', 'yellow', 'white', 'black', 'orange', 'brown'] },
  { kind: 'things to eat', all: foods.map((one) => one.name) },
  { kind: 'people of Edelmatt', all: people.map((one) => `${one.name} the ${one.job}`) },
  { kind: 'places in the village', all: [...places, ...outdoors.slice(5)].map((one) => `the ${one.name}`) },
  { kind: 'days of the week', all: ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'] },
  { kind: 'things to wear in winter', all: ['a coat', 'a scarf', 'gloves', 'a warm hat', 'thick socks'] },
  { kind: 'toys', all: ['a ball', 'a kite', 'a doll', 'a wooden train', 'a sledge'] },
];

/** "Name three fruits." */
export function list(dice: Dice): Exchange {
  const { kind, all } = dice.pick(kinds);
  const count = 2 + dice.below(3);
  const word = ['two', 'three', 'four'][count - 2] as string;
  const slots = { kind, word, items: listed(dice.some(all, count)) };
  return {
    user: expand('{Name|Tell me|List|Give me|Can you name|I need} [word] [kind].', dice, slots).replace(
      /^(Can you .*)\.$/,
      '$1?',
    ),
    assistant: expand('{Here are [word] [kind]|[Word] [kind] are}: [items].', dice, slots),
  };
}
