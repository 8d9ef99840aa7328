// More plots, in the slots of plots.ts: nights, journeys, animals and small adventures.

import type { Plot } from './plots.js';

export const adventures: readonly Plot[] = [
  {
    about: ['a race', 'a race between a [a1] and a [a2]'],
    lines: [
      '{A [a1] and a [a2] wanted to know who was faster.|The [a1] said to the [a2], "I am the fastest animal in the valley."} {So they ran a race to the old bridge.|"Let us run to the bridge," said the [a2].}',
      '{The owl gave the sign, and both ran off.|"One, two, three!" called the owl, and they ran.} {The [a1] was far ahead.|Soon the [a1] could not see the [a2] any more.}',
      '{"I have a lot of time," thought the [a1] and lay down under a tree.|So the [a1] sat down and ate some berries.} {The sun was warm, and the [a1] fell asleep.|Then the [a1] became tired and fell asleep.}',
      '{The [a2] did not stop.|Step by step, the [a2] went on.} {It was slow, but it never rested.|It did not look left or right.}',
      '{When the [a1] woke up, it was evening.|The [a1] opened its eyes when the sun went down.} {It ran as fast as it could.|It jumped up and ran.} {But the [a2] was already sitting on the bridge.|At the bridge, the [a2] was waiting and smiling.}',
      '{"Next time I will sleep after the race," said the [a1].|Who wants to win must not sleep.} {Both laughed and walked home together.|They stayed good friends.}',
    ],
  },
  {
    about: ['a bear', 'honey', 'bees', 'a bear and the bees'],
    lines: [
      '{In the forest lived a big brown bear who loved honey.|Once there was a big bear who loved honey.} {He wanted it every day.|He could smell it from far away.}',
      '{One day he found a beehive in an old tree.|In an old tree he saw a beehive.} {He put his paw into it without a word.|"All this honey is for me," he said and put in his paw.}',
      '{The bees were angry and came out.|Buzz! A thousand bees came out.} {They stung him on the nose.|The bear ran away and jumped into the lake.}',
      '{A little bee felt sorry for him.|When the bear sat at the lake, a little bee came to him.} {"Why did you not ask?" said the bee.|"You should have asked us," said the bee.}',
      '{The bear was ashamed.|The bear looked at his wet feet.} "{I am sorry|Please forgive me}," he said. "{May I have a little honey|Can I have a little honey}?"',
      '{"Yes, but you have to do something for us," said the bees.|The bees talked to each other and said yes.} {Since then the bear guards the tree.|Now the bear plants flowers for the bees.}',
      '{And every Sunday he gets a spoon of honey.|For this he gets honey every week.}',
    ],
  },
  {
    about: ['a ghost', 'the old mill', 'Vera the miller', 'a strange light'],
    lines: [
      '{The children said that there was a ghost in the old mill.|At night there was a strange light in the old mill.} {"I do not believe it," said [n].|"It must be a ghost," said [m].}',
      'One evening, [n] and [m] went there with a lamp. {The wind blew, and the wheel turned slowly.|It was dark and very quiet.}',
      '{"Did you hear that?" asked [m].|Suddenly they heard steps.} {Something white stood behind the window.|A white figure came out of the door.} {The children held hands.|[m] wanted to run away.}',
      '{"Good evening," said the ghost.|The figure began to laugh.} {It was Vera the miller, and she was white with flour.|It was only Vera. She was full of flour from head to foot.}',
      '"{I work at night when the river is strong|I have so much to do that I work at night}," said Vera. "{Do you want to help me|Do you want to come in}?"',
      '{The children filled the bags, and Vera told them stories.|They helped her to fill the bags with flour.} {Later they ate fresh pancakes.|For supper there were pancakes.}',
      '{When they came home, they were white too.|Their mothers got a fright, because now there were two little ghosts.}',
    ],
  },
  {
    about: ['a treasure', 'a map', 'a treasure map'],
    lines: [
      '{[n] found an old map in a book.|In the library, an old map fell out of a book.} {On it was a red cross near the forest.|There was a red cross on it.} {"It is a treasure map!" cried [n].|[n] showed it to [m] at once.}',
      '{[n] and [m] took a lamp and a rope and went off.|The two friends packed bread and water and went off.} {First they went over the bridge, then ten steps to the big rock.|The way led over the bridge and up the hill.}',
      '{Behind the rock they began to dig.|There stood an old tree, just like on the map.} {They dug for an hour.|They took turns and dug a deep hole.}',
      '{Then [m] hit something hard.|"Here is something!" cried [m].} {It was a small wooden box.|They pulled out a small box of wood.} {[n] opened it very slowly.|The box was old and heavy.}',
      '{In it there was no gold, but a letter.|But there was no gold. There was only a letter and seven glass balls.} {"Who finds this box is a real explorer. Your Hans," it said.|"I hid this when I was ten years old. Your Hans," it said.}',
      '{They ran to Hans the fisherman and showed it to him.|When Hans the fisherman saw the box, he smiled.} {"I was a child like you," he said.|"I thought that nobody would ever find it," he said.}',
      '{In the evening they wrote a new letter and hid the box again.|And so the three of them played with glass balls until it was dark.}',
    ],
  },
  {
    about: ['ice', 'the frozen lake', 'a winter day'],
    lines: [
      '{It was so cold that the lake was frozen.|In January the whole lake was covered with ice.} {All the children ran on the ice.|Everyone was there, big and small.}',
      '{Only [n] stood at the side.|But [n] did not dare to go on the ice.} {"I always fall," [he] said.|[He] was afraid to fall.}',
      '{[m] came to [him] and held out a hand.|Then [m] came. "I will hold you," [mhe] said.} {"Falling is not bad," said [m]. "You only have to stand up again."|"Everyone falls at first," said [m].}',
      '{Slowly [n] put one foot on the ice, and then the other.|So [n] tried it.} {[He] fell once, twice, three times.|First [he] fell on [his] nose.} {But each time [he] stood up again.|But [he] stood up and tried again.}',
      '{In the afternoon, [n] could go straight on.|After an hour it was much better.} {Soon [he] went in a big circle.|[He] even turned in a circle.} {"Look at me!" [he] cried.|"I can do it!" [he] cried.}',
      '{When it became dark, Ida brought hot tea for everyone.|At the shore, Anna gave them warm rolls.} {[n] had cold feet and a warm heart.|[n] did not want to go home.}',
    ],
  },
  {
    about: ['the goat in the library', 'Sophie the librarian', 'a goat', 'books'],
    lines: [
      '{One quiet morning, the door of the library was open.|On Tuesday, Sophie the librarian left the door open.} {Fips the goat came in.|Fips, the goat from the inn, walked in.} {Nobody saw him.|He looked around and was curious.}',
      '{He smelled at the books, and they smelled good.|The books looked like big leaves.} {First he ate a page about cheese.|He began with a book about grass.} {Then he ate a page about the sea.|After that he ate half a poem.}',
      '{"Stop!" cried Sophie.|Then Sophie saw him. "Fips!" she cried.} {"Books are for the head and not for the belly."|"You should read them and not eat them!"} {Fips looked at her with big eyes.|Fips only said meh.}',
      '{Ida the cook came and was sorry.|Ida ran over from the inn and saw what had happened.} {"I will pay for the books," she said.|"What can I do?" she asked.}',
      '{But Sophie began to laugh.|Sophie looked at the goat and had to laugh.} {"At least somebody in this village loves poems," she said.|"He has good taste," she said.}',
      '{Since then there is a basket of hay in front of the library.|Now the door is always closed, and Fips waits outside.} {And the children read stories to Fips.|Every Tuesday, the children read a story to him.}',
    ],
  },
  {
    about: ['Paul the clockmaker', 'the church clock', 'a clock', 'time'],
    lines: [
      '{One morning, the clock on the church tower stood still.|When the people of Edelmatt woke up, the church clock did not move.} {Nobody knew what time it was.|Everyone came too late.}',
      '{Anna baked the bread too late, and the train left too early.|Clara rang the bell of the school at noon, and the hens did not know when to sleep.} {"Where is Paul?" asked [grown].|So they called Paul the clockmaker.}',
      '{Paul took his tools and climbed up the tower.|Paul the clockmaker went up the many steps with his little lamp.} {[n] was allowed to go with him.|[n] carried the bag for him.}',
      '{They looked at every wheel.|Up there were wheels as big as tables.} {"Nothing is broken," said Paul.|Paul shook his head, because he found nothing.} {Then [n] heard a soft sound.|Then [n] saw something.}',
      '{Between two wheels sat a small owl and slept.|A little owl had built its nest in the clock.} {"So that is why," said Paul.|"Quiet," said Paul. "We must not hurt it."}',
      '{They carried the nest carefully into a corner.|[n] made a new nest for the owl next to the bell.} {Then the clock began to tick again.|Tick, tock, said the clock.}',
      '{Since then the owl calls every hour too.|Now the village has two clocks, one that rings and one that says hoo.}',
    ],
  },
  {
    about: ['a sledge', 'a sledge race', 'a race in the snow'],
    lines: [
      '{There was a lot of snow on the hill.|Every winter there is a sledge race on the hill.} {All the children came with their sledges.|[n] and [m] wanted to win the race.}',
      '{[n] had an old sledge from [his] grandfather.|The sledge of [n] was old and made of wood.} {The others laughed at it.|"It is too slow," said the others.}',
      '{"Ready, go!" called Emil, and they all started.|Emil the farmer gave the sign.} {The snow flew into their faces.|Down they went, faster and faster.} {[n] was at the front.|The old sledge was faster than all the others.}',
      '{Then [n] saw that [m] had fallen.|But behind [him], [m] fell into the snow.} {[He] stopped at once and went back.|[n] stopped and helped [mhim] up.}',
      '{"Are you hurt?" asked [n].|"Come, sit on my sledge," said [n].} {Together they went down on the old sledge.|[m] sat down behind [him], and they went on together.} {They came last.|They were the last of all.}',
      '{But Emil gave them the first prize.|"You are the real winners," said Emil.} {It was a big cheese, and they shared it with everyone.|The prize was a chocolate cake, and everyone got a piece.}',
    ],
  },
  {
    about: ['rain', 'an umbrella', 'a rainy day', 'a yellow umbrella'],
    lines: [
      '{[n] had a new yellow umbrella.|For [his] birthday, [n] got a yellow umbrella.} {But it did not rain.|[He] wanted to use it, but the sun was shining every day.}',
      '{Every morning, [he] looked at the sky.|"When will it rain?" [he] asked every morning.} {The sky was blue.|There was not one cloud.}',
      '{At last, on Friday, dark clouds came.|One afternoon it began to rain.} {[n] ran out and opened the umbrella.|[n] took the umbrella and danced in the street.}',
      '{At the bridge [he] saw [p] the [kind].|Near the inn stood [p] the [kind].} {[p] was wet and cold.|The poor [kind] was wet from head to foot.} {So [n] held the umbrella over [phim].|[n] let [phim] come under the umbrella.}',
      '{Then came Rosa with her basket, and then Bruno with his letters.|Rosa had no umbrella, and Bruno had none too.} {They all stood under the yellow umbrella.|"There is room for all," said [n].}',
      '{It was very small, but they laughed a lot.|They walked home together, step by step.} {Everyone got a little wet, and nobody minded.|It was the nicest rain of the year.}',
    ],
  },
  {
    about: ['a picnic', 'ants', 'a sunny day', 'summer'],
    lines: [
      '{On a sunny day, [n] and [m] made a picnic on the meadow.|It was a warm summer day. [n] and [m] took a basket and went to the meadow.} {They had bread, cheese and a cherry cake.|In the basket there were bread, cheese and a cherry cake.}',
      '{First they played with a ball.|They lay in the grass and looked at the clouds.} {"That cloud looks like a sheep," said [m].|"Look, there is a cloud like a bear," said [n].}',
      '{When they were hungry, they opened the basket.|Then they wanted to eat.} {But the cake was gone!|But a piece of the cheese was missing!} {"Who was it?" asked [n].|They looked at each other. "It was not me," said [m].}',
      '{They looked around and saw small marks in the grass.|Then they heard a sound behind a bush.} {There sat [p] the [kind] and looked very happy.|Behind the bush lay [p] the [kind] and licked [phis] mouth.}',
      '{"You could have asked," said [m].|"So you were the thief!" said [n] and laughed.} {[p] [sound] and came closer.|[p] [sound] as if to say sorry.}',
      '{They shared the rest with [phim].|There was enough for three.} {In the evening they all went home together.|When the sun went down, they walked home.}',
    ],
  },
  {
    about: ['the moon', 'the stars', 'a dream', 'night'],
    lines: [
      '{One night, [n] could not sleep.|It was late, but [n] was awake.} {The moon was looking in at the window.|The moon was big and round over the Grauhorn.}',
      '{"Are you not lonely up there?" asked [n]. "Sometimes," said the moon. "But I can see the whole world."|"Good evening, moon," said [n]. And the moon answered, "Good evening, little friend."}',
      '{"What do you see?" asked [n].|"Tell me what you see," said [n].} {"I see the cows asleep in the barn, and the fox in the forest," said the moon.|"I see the boats on the lake and the snow on the mountain," said the moon.} {"And I see a child who should be asleep."|"And I see a [child] with open eyes."}',
      '{[n] laughed and lay down again.|[n] had to laugh and closed [his] eyes.} {"Will you come back tomorrow?" [he] asked.|"Please stay a little," [he] said.}',
      '{"I come back every night," said the moon.|"I will stay until you sleep," said the moon.} {It sent a soft light into the room.|It became very quiet.}',
      '{Soon [n] was asleep.|A minute later, [n] was asleep.} {In the morning [he] did not know if it was a dream.|[He] dreamed that [he] was flying over the village.}',
    ],
  },
  {
    about: ['a dog', 'a brave dog', 'Bello', 'Bello and Bruno'],
    lines: [
      '{Bello was the dog of Bruno the postman.|Bruno the postman had a dog named Bello.} {Every day they brought the letters together.|He ran next to the yellow bicycle every day.}',
      '{One winter day there was a lot of snow.|In winter the way to the farm was covered with snow.} {Bruno fell and hurt his leg.|On the way to the farm, Bruno fell from his bicycle.} {He could not stand up.|There was nobody to help him.}',
      '{"Bello, get help!" he said.|He sent Bello to the village.} {Bello ran as fast as he could.|The dog ran through the deep snow.}',
      '{He barked in front of the door of Frieda the doctor.|He found Frieda the doctor and pulled at her coat.} {"What is it, Bello?" asked Frieda.|Frieda understood at once.} {She followed him through the snow.|She took her bag and ran after him.}',
      '{Soon they found Bruno.|Bruno was glad when he saw them.} {Emil came with his horse and took him home.|Frieda put a bandage on his leg, and Emil took him home.}',
      '{That evening, Bello got the biggest bone in the village.|"You are the best dog in the world," said Bruno.} {And the next day he carried the letters alone.|For two weeks, Bello brought the letters, and nobody got the wrong one.}',
    ],
  },
];
