// The plots of the stories. A plot is a list of sentences; each sentence offers ways to say the same step, so that any
// drawing keeps its people, animals and things from the first sentence to the last.
//
// Slots: [n] the hero with [he him his child self], [m] a friend with [mhe mhim mhis], [p] an animal of kind [kind] with
// [phe phim phis sound treat], [thing] a thing, [where] and [there] two places to look, [grown] a grown-up.

export interface Plot {
  /** What the story is about, after "a story about". */
  about: readonly string[];
  lines: readonly string[];
}

export const opening =
  '{Once upon a time, there was a [child] named [n]. [He] lived in the village of Edelmatt.|Once there was a little [child] named [n] who lived in Edelmatt.|[n] was a little [child] from the village of Edelmatt.|In the village of Edelmatt lived a little [child] named [n].}';

export const plots: readonly Plot[] = [
  {
    about: ['[p] the [kind]', 'a lost [kind]', 'a [kind]'],
    lines: [
      opening,
      '[He] had a [kind] named [p], and the two were {best friends|always together}.',
      'One {morning|day}, [p] was {gone|not there}.',
      '[n] {looked|searched} everywhere. [He] looked [where], but [p] was not there. {Then [he] looked [there]|[He] also looked [there]}, but {[he] found nothing|there was no [kind]}.',
      '{[n] was very sad.|[n] sat down and cried.|[n] was afraid that [p] would not come back.}',
      '{Then|Suddenly} [he] heard a sound. It came from [place]. {There was [p]!|It was [p]!}',
      '{[p] was hungry, so [n] gave [phim] [treat].|[p] [sound] with joy.}',
      '{[n] hugged [p] and took [phim] home.|Together they walked home, and both were happy.}',
    ],
  },
  {
    about: ['snow', 'a snowman', 'winter', 'the snow'],
    lines: [
      '{One|On a} cold morning in winter, [n] looked out of the window. Everything was white.',
      '"{It has snowed|Look, there is snow}!" {cried|said} [n]. [He] put on [his] coat and [his] gloves and ran {outside|out of the house}.',
      'In front of the house [he] met [m]. {"Let us build a snowman!" said [m].|"Shall we build a snowman?" asked [m].}',
      'They rolled three big balls of snow. {They used stones for the eyes and a carrot for the nose.|The snowman got a carrot for a nose and an old hat.}',
      'Then [p] the [kind] came along. {[Phe] looked at the snowman and ate the carrot.|Before anyone could say a word, [p] ate the carrot.}',
      '{[n] and [m] laughed and laughed.|The children had to laugh.} {"Now the snowman needs a new nose," said [n].|"It was a good nose," said [m].}',
      '{In the evening they drank hot chocolate by the stove.|At home there was hot chocolate for everyone.}',
    ],
  },
  {
    about: ['a birthday', 'a present', 'a cake', 'Anna the baker'],
    lines: [
      '{It was the birthday of [m].|Tomorrow was the birthday of [m].} [Mhis] friend [n] wanted to {bake a cake|make a cake} for [mhim].',
      '[n] had flour and sugar, but [he] had no eggs. {So [he] went to the farm.|"Where can I get eggs?" [he] thought.}',
      'Emil the farmer {gave [him] four eggs|smiled and gave [him] four fresh eggs}. "{Be careful|Do not drop them}!" he said.',
      '{But on the way home [n] fell, and the eggs broke.|But near the bridge [n] fell over a stone, and all the eggs were broken.} {[He] began to cry.|Now [he] was very sad.}',
      'Anna the baker saw it. "{Do not cry|Do not worry}," she said. "{We will bake a cake together|I have eggs in the bakery}."',
      '{They mixed flour, eggs and sugar and put the cake in the oven.|Together they baked a big cake with cherries on top.} {Soon it smelled wonderful.|It smelled very good.}',
      'When [m] saw the cake, [mhe] was very happy. {"This is the best cake in the world," [mhe] said.|[Mhe] gave the first piece to [n].}',
    ],
  },
  {
    about: ['a storm', 'Oskar the shepherd', 'a shepherd', 'sheep', 'a lamb'],
    lines: [
      '{Oskar the shepherd was with his sheep on the high meadow.|One summer day, Oskar the shepherd sat on the meadow with his forty sheep.} {He played the flute, and the sun was shining.|The sun was warm, and Oskar played the flute.}',
      '{Suddenly|In the afternoon,} dark clouds came over the mountain. {It began to rain, and there was thunder.|The wind blew, and it began to rain.}',
      '{"We must go to the hut!" cried Oskar.|Oskar called the sheep and led them to the hut.} His dog Barri {ran around the sheep|helped him}.',
      '{In the hut he counted them.|When all were inside, he counted the sheep.} {One little lamb was missing.|There were only thirty-nine. A little lamb was missing.}',
      '{Oskar took his lamp and went out into the storm.|So Oskar went out again into the rain.} {He called and called.|He looked behind every rock.}',
      '{At last Barri found the lamb under a tree.|Then Barri barked. The lamb was hiding behind a big rock.} {It was wet and cold.|It was afraid, but it was not hurt.}',
      'Oskar carried it {back to the hut|to its mother} in his arms. {The next morning the sun was shining again.|After the storm there was a rainbow over the valley.}',
    ],
  },
  {
    about: ['the train', 'a train', 'a tree on the track', 'Urs and Walter'],
    lines: [
      '{One windy evening|One evening in autumn}, many people were waiting at the station. {But the red train did not come.|They looked at the clock, but the red train was late.}',
      '"{Where is the train|Why is the train late}?" asked [n]. Urs the station master {did not know it|shook his head}.',
      '{Then the telephone rang. It was Walter, the train driver.|At last Walter called the station.} "{A big tree has fallen on the track|There is a tree on the track}," he said. "{I cannot go on|I need help}."',
      'Urs rang the bell, and {the people of the village came with saws and ropes|everyone in the village came to help}. {Theo brought his big saw, and Emil brought his horse.|Emil came with his horse Sultan.}',
      '{They cut the tree into pieces|They sawed and pulled}, and soon the track was free.',
      '{"Thank you, my friends!" cried Walter.|Walter thanked them all.} {[n] was allowed to ride in front with Walter.|Then the red train rolled slowly into the station.}',
      '{From the wood Theo made a bench, and it stands at the station to this day.|That night everybody slept well.}',
    ],
  },
  {
    about: ['a [a1] and a [a2]', 'a [a1]', 'two friends', 'two animals'],
    lines: [
      '{Once upon a time, a [a1] and a [a2] lived near the forest.|Near the forest lived a [a1] and a [a2].} {They were good friends.|They met every day.}',
      '{One day, the [a1] found a big apple.|One autumn day, the [a1] found a red apple under a tree.} "{This apple is mine|I will eat it alone}," said the [a1].',
      '{But the apple was too big|But the apple was so heavy that the [a1] could not carry it}. {|The [a1] pushed and pulled, but the apple did not move.} "Can you help me?" asked the [a1].',
      '{"Of course," said the [a2].|The [a2] came and helped at once.} {Together they rolled the apple home.|Together it was easy.}',
      '{The [a1] was ashamed.|Then the [a1] thought for a while.} "{You helped me, so half of the apple is yours|Let us share the apple}," said the [a1].',
      '{They sat in the sun and ate the apple together.|So they shared the apple, and it tasted twice as sweet.}',
      '{Since then they share everything.|A good friend is better than a big apple.}',
    ],
  },
  {
    about: ['[n]', 'a child who is afraid', 'the dark', 'an owl', 'a [child]'],
    lines: [
      opening,
      '[He] was afraid of the dark. {Every night [he] wanted a lamp next to [his] bed.|When the light went out, [he] could not sleep.}',
      'One night [n] heard a strange sound. {"Hoo, hoo," it said outside.|It came from the old tree outside.} {[His] heart beat fast.|[He] held [his] breath.}',
      '{[He] took all [his] courage and opened the window.|Slowly [he] went to the window and looked out.}',
      '{There sat an owl with big round eyes.|In the moonlight [he] saw a brown owl.} {"So it was you!" said [n].|The owl looked at [him] in a friendly way.}',
      '{[He] saw the moon, the stars and the white mountains.|The stars were shining over the mountains.} {The night was beautiful.|It was very beautiful.}',
      '{Since that night [n] is not afraid of the dark any more.|From then on, [n] slept well every night.}',
    ],
  },
  {
    about: ['a fish', 'Hans the fisherman', 'a big fish', 'the lake', 'a boat'],
    lines: [
      '{Early in the morning, Hans the fisherman and [n] took the little boat onto the lake.|One quiet morning, Hans the fisherman and [n] went out on the lake in the little boat.}',
      '{They waited and waited|The water was still, and the sun came up}. {For a long time nothing happened.|No fish wanted to bite.}',
      '{Suddenly something pulled hard.|Then the line moved.} {It was a big silver fish!|Hans pulled, and out came the biggest fish that he had ever seen.}',
      '{The fish looked at Hans with round eyes.|The fish was beautiful. It was shining like the moon.}',
      '"{This fish is very old|It is the king of the lake}," said Hans. "{We will let it go|It should stay in the lake}."',
      '{He put the fish back into the water, and it swam away.|So the fish went back into the deep water.}',
      '{At noon they ate bread and cheese on the shore.|In the evening Hans told the story in the inn, but nobody believed him.}',
    ],
  },
  {
    about: ['a seed', 'a flower', 'the garden', 'a plant', 'Lena the gardener'],
    lines: [
      '{In spring, Lena the gardener gave [n] a small seed.|One day in spring, [n] got a small seed from Lena the gardener.} "{Plant it and be patient|Give it water and sun}," she said.',
      '[n] {planted the seed behind the house|put the seed in the earth} and gave it water every {day|morning}.',
      '{The first week nothing happened.|For many days, nothing was to be seen.} {"Perhaps the seed is asleep," thought [n].|[n] became impatient, but [he] did not give up.}',
      '{Then, after a warm rain, there was a small green leaf.|One morning, a tiny green leaf looked out of the earth.} [n] {jumped for joy|called Lena at once}.',
      '{The plant grew and grew|Week after week, the plant became bigger}. {In summer it was taller than [n].|In summer it had a big yellow flower.}',
      '{It was a sunflower!|"It is a sunflower," said Lena.} {The bees came, and the birds ate the seeds.|The whole village came to look at it.}',
      '{In autumn [n] kept one seed for the next year.|[n] gave a seed to every friend.}',
    ],
  },
  {
    about: ['a broken toy', 'Theo the carpenter', 'a wooden [toy]'],
    lines: [
      '[n] had a wooden [toy]{| from [his] grandfather}. {[He] loved it very much.|[He] played with it every day.}',
      '{One day, the [toy] fell down the stairs and broke.|But one day, [he] dropped the [toy], and it broke.} {[n] was very sad.|[n] cried.}',
      '{[He] took the pieces to Theo the carpenter.|"Go to Theo," said [m]. "He can repair everything."} {Theo put on his glasses and looked at the [toy].|Theo looked at it from all sides.}',
      '"{It is not so bad|I can repair it}," he said. "{But you have to help me|Come back in one hour}."',
      '{They glued the pieces and painted the [toy] red.|Theo used some glue and a little red paint.} {Soon it looked like new.|It was as good as new.}',
      '{"How much does it cost?" asked [n].|"Thank you so much!" said [n]. "What do I have to pay?"} {"A piece of cake," said Theo and laughed.|"A smile is enough," said Theo.}',
      '{The next day, [n] brought him a whole apple pie.|So [n] brought him a big piece of chocolate cake.}',
    ],
  },
  {
    about: ['a lost [thing]', 'a [thing]', 'a search'],
    lines: [
      '{One morning|One day}, [n] could not find [his] [thing]. {"Where is my [thing]?" [he] asked.|[He] looked in every room.}',
      '[He] looked under the bed, behind the door and in the cupboard, but {there was no [thing]|the [thing] was not there}.',
      '{"Where did you have it last?" asked [his] friend [m].|[His] friend [m] came to help.} {"I had it [where]," said [n].|[n] thought for a while. "I had it [where]," [he] said.}',
      '{So they went there and looked.|So they walked there together.} {They found a coin and a button, but no [thing].|But the [thing] was not there.}',
      '{Then they met [p] the [kind].|On the way back they saw [p] the [kind].} {[Phe] was lying on something.|[Phe] had something under [phis] head.} {It was the [thing]!|"That is my [thing]!" cried [n].}',
      '{"[p] only wanted a soft bed," said [m].|[p] looked up and [sound].} {Everyone laughed.|[n] had to laugh.}',
      '{Since then [n] takes good care of [his] [thing].|[n] took [his] [thing] and gave [p] [treat].}',
    ],
  },
  {
    about: ['a letter', 'a parcel', 'Bruno the postman', 'a grandmother'],
    lines: [
      '[n] wrote a letter to [his] grandmother, who lived {in Seewil|far away, behind the mountains}. {"Dear grandmother, I miss you," [he] wrote.|[He] also painted a red house and a yellow sun.}',
      '{[He] bought a stamp and gave the letter to Bruno the postman.|Bruno the postman put the letter in his big bag.} "{I will take good care of it|It will be there tomorrow}," said Bruno.',
      '{[n] waited one day, two days, three days.|Every morning, [n] stood at the gate and waited.} {But no answer came.|"Is there a letter for me?" [he] asked, but Bruno shook his head.}',
      '{On Friday, Bruno came on his yellow bicycle and rang the bell.|Then, on Friday, the bell rang.} "{This time I have something for you|A parcel for [n]}," he said.',
      '{In the parcel was a warm red scarf|There was a red scarf in it}, and {a letter lay on top|a letter with many kisses}.',
      '{"I made it for you," wrote the grandmother. "I will visit you on Sunday."|The grandmother wrote that she would come on Sunday.}',
      '{[n] wore the scarf all day, and at night too.|On Sunday [n] stood at the station and wore [his] new scarf.}',
    ],
  },
  {
    about: ['a mountain', 'a hike', 'the Grauhorn', 'the mountains'],
    lines: [
      '{One summer morning|Early on a Saturday}, [n] and [m] {wanted to climb the Grauhorn|set out for the Grauhorn}. They packed bread, cheese and {apples|a bottle of water}.',
      '{The way was long and steep.|First they walked through the forest, and then over the meadow.} {They saw marmots and heard them whistle.|A marmot whistled, and an eagle flew over their heads.}',
      '{After two hours|In the middle of the way}, [m] was tired. "{I cannot go on|My legs hurt}," [mhe] said.',
      '"{We will rest and eat something|Sit down and have some bread}," said [n]. {They sat on a warm rock and ate.|So they had a rest in the shade.} {After that, [m] felt much better.|Then they went on slowly.}',
      '{At noon they reached the top.|At last they stood on the top.} {They could see the lake, the village and the little red train.|Far below, the village was as small as a toy.}',
      '"{It was worth it|We did it}!" {cried|said} [m]. {They shouted, and the mountains answered.|They sang a song for joy.}',
      '{They took the cable car home, because their feet were tired.|In the evening they were tired and proud.}',
    ],
  },
  {
    about: ['soup', 'a soup', 'Ida the cook', 'a cold evening'],
    lines: [
      '{One cold evening|One rainy evening}, Ida the cook had only water and salt in her pot. {"How can I make a soup with that?" she asked.|Many guests were coming, and she did not know what to do.}',
      '{Then the door opened, and Lena came in with carrots.|Lena came by and saw it. She brought carrots from her garden.} {Emil brought potatoes from the farm.|A little later, Emil brought a bag of potatoes.}',
      'Jakob gave her {some butter|a piece of cheese}, and {Anna brought fresh bread|Anna came with a warm bread}.',
      '{Ida cut everything and put it into the pot.|Ida cooked and stirred.} {Soon the whole inn smelled of soup.|After twenty minutes the soup was ready.}',
      '{All the guests sat down at the long table.|They all sat at one long table.} {There was enough for everyone.|Everyone got a full plate.}',
      '"{This is the best soup of the year|I have never eaten such a good soup}," said [grown]. {"It is the soup of the whole village," said Ida.|"We made it together," said Ida and smiled.}',
    ],
  },
  {
    about: ['a new child', 'school', 'a new friend', 'Clara the teacher'],
    lines: [
      '{On Monday|One morning}, a new [child] came to the school of Edelmatt. [His] name was [n], and [he] {did not know anybody|came from a town far away}.',
      '{Clara the teacher showed [him] a place next to [m].|"You can sit next to [m]," said Clara the teacher.} {But [n] was shy and said nothing.|[n] looked at the floor and did not say a word.}',
      "{In the break the others played with a ball.|At ten o'clock there was a break, and the children ran outside.} {[n] stood alone under a tree.|Only [n] stood alone at the wall.}",
      '{[m] went to [him] and gave [him] half of [mhis] apple.|Then [m] came. "Do you want half of my apple?" [mhe] asked.} {[n] smiled for the first time.|[n] took it and smiled.}',
      '"{Do you like rabbits|Do you like animals}?" asked [m]. "{We have some at home|You can visit ours}." "{Yes, very much|I love them}," said [n].',
      '{In the afternoon they fed the rabbits together.|After school they went to see the rabbits.} {From that day on, they were friends.|Since then they sit together every day.}',
    ],
  },
  {
    about: ['a bird', 'a little bird', 'Frieda the doctor'],
    lines: [
      '{On the way to school|In the garden}, [n] found a little bird. {It lay in the grass and could not fly.|One of its wings was hurt.}',
      '{[n] picked it up very carefully|[He] put it in [his] hat} and {ran to Frieda the doctor|took it to the health centre}. {"Can you help it?" [he] asked.|"Please help this little bird!" [he] said.}',
      '{Frieda usually helps people, but she smiled.|"I am a doctor for people," said Frieda, "but I will try."} {She put a small bandage on the wing.|She looked at the wing and put a bandage on it.}',
      '{[n] took the bird home and gave it water and seeds.|At home [n] made a nest out of soft wool.} {Every day it became stronger.|Every morning the bird sang a little louder.}',
      '{After two weeks, the wing was healthy.|Two weeks later, Frieda took off the bandage.} {[n] opened the window.|[n] carried the bird into the garden and opened [his] hands.}',
      '{The bird flew up into the blue sky.|The bird flew once around the house and then over the trees.} {[n] was a little sad, but also happy.|"Goodbye, little bird!" called [n].}',
      '{The next spring, a bird sang in front of the window.|Sometimes it comes back and sings for [him].}',
    ],
  },
  {
    about: ['a clever [a1]', 'a [a1] and a fox', 'the fox', 'a fox'],
    lines: [
      '{A hungry fox walked through the forest.|One evening, a hungry fox came out of the forest.} {There it met a [a1].|It saw a [a1] and licked its lips.}',
      '"{I will eat you|You will be my dinner}," said the fox. {The [a1] was afraid, but it was clever.|The [a1] thought quickly.}',
      '"{Wait|Stop}," said the [a1]. "{I am small and thin|I am only a small dinner}. {In the lake there is a big round cheese|I know where there is a big round cheese}."',
      '{The fox was greedy and followed the [a1] to the lake.|"Show it to me!" cried the fox, and they went to the lake.} {The moon was shining on the water.|There the moon lay round and yellow in the water.}',
      '"{There it is|Look, there it lies}," said the [a1]. {The fox jumped into the lake.|The fox did not think and jumped.} {But there was only cold water.|It found no cheese, but it became very wet.}',
      '{The [a1] ran home and laughed.|When the fox came out of the water, the [a1] was gone.} {Who wants too much gets nothing.|The fox went home hungry and cold.}',
    ],
  },
  {
    about: ['a flute', 'music', 'a song', 'a festival'],
    lines: [
      '{There was a festival in Edelmatt.|Every summer there is a festival in Edelmatt.} {Everyone wanted to dance, but there was no music.|Emil wanted to play the accordion, but it was broken.}',
      '{"What shall we do?" asked [grown].|All the people were sad.} {Then [n] raised [his] hand.|Little [n] stood up.} "{I can play the flute|Oskar taught me to play the flute}," [he] said{| quietly}.',
      '{[n] climbed on a table and began to play.|[He] was very nervous, but [he] began to play.} {First [he] played slowly, and then faster and faster.|The song was merry and bright.}',
      '{The people clapped their hands and danced.|Anna danced with Bruno, and Ida danced with Hans.} {Even [p] the [kind] danced.|Even the church bell seemed to sing.}',
      '{They danced until the moon stood over the mountain.|The festival went on until late at night.} {Everyone thanked [n].|"You saved the festival," said [grown].}',
      '{[n] was proud and happy.|That night [n] was the happiest [child] in the village.}',
    ],
  },
  {
    about: ['a kite', 'the wind', 'autumn'],
    lines: [
      '{It was a windy day in autumn.|In autumn the wind blew over the meadow.} [n] had a red kite with a long tail. {Theo had built it for [him].|It was [his] favourite toy.}',
      '{The kite flew higher and higher.|[n] ran over the meadow, and the kite flew up into the sky.} {Suddenly the string broke.|But then a strong wind came, and the string broke.}',
      '{The kite flew away over the roofs.|Away flew the kite, over the church and over the inn.} {[n] ran after it.|"Stop!" cried [n] and ran.}',
      '{At the river [he] lost sight of it.|At the bridge [he] had to stop.} {"My kite is gone," [he] said sadly.|[He] was tired and sad.}',
      '{The next day, Hans the fisherman knocked at the door.|But in the evening, someone knocked at the door. It was Hans the fisherman.} "{I caught a strange red fish in the lake|I wanted to catch a fish, but I caught this}," he said{| and laughed}.',
      '{It was the kite!|In his hand he held the red kite.} {[n] thanked Hans and dried it by the stove.|It was wet, but it was not broken.}',
      '{Soon it flew again, but this time with a thick string.|"Next time I will take a stronger string," said [n].}',
    ],
  },
  {
    about: ['Jakob the cheesemaker', 'cheese', 'a mouse', 'a hungry mouse'],
    lines: [
      '{Jakob the cheesemaker was angry.|Every morning, Jakob the cheesemaker found a hole in his cheese.} {Somebody ate his best cheese at night.|"Who eats my cheese at night?" he asked.}',
      '{One night he stayed awake and hid behind the door.|So he hid behind a barrel and waited.} {The moon was shining through the window.|For a long time it was quiet.}',
      '{Then he heard a small squeak.|At midnight he heard tiny steps.} {It was a little grey mouse.|A little mouse came out of a hole.} {It was very thin.|It had five hungry children.}',
      '{Jakob was not angry any more.|Jakob felt sorry for the mouse.} "{You only had to ask|Nobody should be hungry in my dairy}," he said{ kindly|}.',
      '{Now he puts a small piece of cheese on the floor every evening.|Since then there is a little plate of cheese in the corner every evening.} {And the big cheese has no more holes.|The mouse leaves the big cheese alone.}',
      '{Well, only the holes that belong there.|The two have become good friends.}',
    ],
  },
];
