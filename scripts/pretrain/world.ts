// The world that the small model knows: the village of Edelmatt, its people, places, animals and food. Every fact that
// the corpus states comes from these tables, so that stories and answers agree with each other.

export interface Person {
  name: string;
  he: 'he' | 'she';
  job: string;
  place: string;
  /** What the person does at work, third person: `bakes bread`. */
  does: string;
  food: string;
  pet: string;
  /** After "likes to". */
  hobby: string;
}

function person(row: string): Person {
  const [name, he, job, place, does, food, pet, hobby] = row.split('; ') as [string, 'he' | 'she', ...string[]];
  return { name, he, job, place, does, food, pet, hobby } as Person;
}

export const people: readonly Person[] = [
  'Anna; she; baker; bakery; bakes bread and cakes; cherry pie; a cat named Minka; sing in the choir',
  'Bruno; he; postman; post office; brings letters and parcels to every house; potato soup; a dog named Bello; ride his bicycle',
  'Clara; she; teacher; school; teaches the children to read and write; apple pie; two rabbits named Mimi and Hopp; paint flowers',
  'Emil; he; farmer; farm; looks after the cows and the hens; cheese; a horse named Sultan; play the accordion',
  'Frieda; she; doctor; health centre; helps people who are ill; vegetable soup; a parrot named Coco; swim in the lake',
  'Hans; he; fisherman; lake; catches fish with his little boat; fried fish; a duck named Frida; tell old stories',
  'Ida; she; cook; inn; cooks for the guests; fondue; a goat named Fips; collect mushrooms',
  'Jakob; he; cheesemaker; dairy; makes cheese and butter; bread with butter; a donkey named Balz; walk in the mountains',
  'Lena; she; gardener; garden; grows flowers and vegetables; tomato salad; a hedgehog named Igor; read books about plants',
  'Oskar; he; shepherd; meadow; looks after forty sheep; bread and cheese; a dog named Barri; play the flute',
  'Paul; he; clockmaker; clock shop; repairs clocks and watches; chocolate cake; a mouse named Tick; play chess',
  'Rosa; she; shopkeeper; village shop; sells food, soap and newspapers; strawberries; a canary named Pip; knit warm socks',
  'Sophie; she; librarian; library; lends books to everyone; pancakes; a cat named Mitzi; write poems',
  'Theo; he; carpenter; workshop; makes chairs and tables out of wood; omelette; a dog named Rex; build kites',
  'Urs; he; station master; station; sells tickets and helps the travellers; muesli; a canary named Lulu; collect old train tickets',
  'Vera; she; miller; mill; makes flour from wheat; rösti; a pony named Luna; dance',
].map(person);

export interface Child {
  name: string;
  he: 'he' | 'she';
}

export const children: readonly Child[] = [
  { name: 'Mila', he: 'she' },
  { name: 'Noah', he: 'he' },
  { name: 'Nina', he: 'she' },
  { name: 'Tim', he: 'he' },
  { name: 'Eva', he: 'she' },
  { name: 'Leo', he: 'he' },
  { name: 'Lara', he: 'she' },
  { name: 'Max', he: 'he' },
  { name: 'Lea', he: 'she' },
  { name: 'Ben', he: 'he' },
  { name: 'Ella', he: 'she' },
  { name: 'Finn', he: 'he' },
];

export interface Place {
  name: string;
  where: string;
  opens: string;
  closes: string;
  /** The day on which it is closed. */
  shut: string;
  /** After "there you can". */
  there: string;
  colour: string;
}

function place(row: string): Place {
  const [name, where, opens, closes, shut, there, colour] = row.split('; ') as string[];
  return { name, where, opens, closes, shut, there, colour } as Place;
}

/** Houses with opening hours. */
export const places: readonly Place[] = [
  'bakery; next to the church; six; five; Monday; buy fresh bread, rolls and cakes; yellow',
  'post office; across from the station; eight; six; Sunday; send letters and buy stamps; blue',
  'school; behind the church; eight; four; Saturday; learn to read, write and count; white',
  'library; next to the school; ten; six; Monday; read books and borrow them; green',
  'village shop; on the market square; seven; seven; Sunday; buy milk, fruit and newspapers; orange',
  'inn; by the bridge; eleven; ten; Tuesday; eat a warm meal and sleep in a soft bed; brown',
  'dairy; next to the farm; seven; noon; Sunday; buy cheese, butter and fresh milk; white',
  'mill; by the river; nine; four; Sunday; buy flour and watch the big wheel turn; grey',
  'clock shop; between the bakery and the inn; nine; five; Wednesday; have a watch repaired; black',
  'workshop; behind the station; eight; five; Saturday; order a chair or a table; red',
  'health centre; near the market square; nine; five; Sunday; see the doctor; white',
  'station; at the end of the main street; five; eleven; no day; buy tickets and wait for the train; red',
].map(place);

/** Places out of doors: where each is, and what there is to do. */
export const outdoors: readonly { name: string; where: string; there: string; like: string }[] = [
  { name: 'lake', where: 'below the village', there: 'swim, fish and take a boat', like: 'deep and blue' },
  { name: 'forest', where: 'north of the village', there: 'walk and collect mushrooms', like: 'dark and quiet' },
  {
    name: 'river',
    where: 'between the village and the farm',
    there: 'throw stones and watch the fish',
    like: 'fast and cold',
  },
  {
    name: 'meadow',
    where: 'above the village',
    there: 'see sheep and pick flowers',
    like: 'green and full of flowers',
  },
  { name: 'farm', where: 'on the hill', there: 'see cows, pigs and hens', like: 'old and friendly' },
  {
    name: 'garden',
    where: 'behind the inn',
    there: 'smell the roses and sit in the shade',
    like: 'small and colourful',
  },
  { name: 'bridge', where: 'near the inn', there: 'stand and look at the river', like: 'old and made of stone' },
  {
    name: 'market square',
    where: 'in the middle of the village',
    there: 'meet people and visit the market',
    like: 'wide and round',
  },
  {
    name: 'church',
    where: 'on the main street',
    there: 'hear the bells and the choir',
    like: 'white, with a tall tower',
  },
];

export interface Animal {
  name: string;
  plural: string;
  eats: string;
  home: string;
  sound: string;
  baby: string;
  legs: string;
  /** After "can": what it does well. */
  can: string;
  /** After "cannot". */
  cannot: string;
  looks: string;
  babies: string;
}

function animal(row: string): Animal {
  const [name, plural, eats, home, sound, baby, babies, legs, can, cannot, looks] = row.split('; ') as string[];
  return { name, plural, eats, home, sound, baby, babies, legs, can, cannot, looks } as Animal;
}

export const animals: readonly Animal[] = [
  'cow; cows; grass and hay; in the barn; moo; calf; calves; four; give milk; fly; big, with brown spots',
  'goat; goats; grass and leaves; on the hill; meh; kid; kids; four; climb on rocks; fly; small, with two horns',
  'sheep; sheep; grass and flowers; on the meadow; baa; lamb; lambs; four; give wool; fly; white and woolly',
  'horse; horses; hay and apples; in the stable; neigh; foal; foals; four; run very fast; fly; tall and strong',
  'dog; dogs; meat and bones; in a house with people; woof; puppy; puppies; four; guard the house; climb trees; friendly, with a wet nose',
  'cat; cats; mice and fish; in a house with people; meow; kitten; kittens; four; climb trees; fly; soft, with long whiskers',
  'hen; hens; corn and worms; in the henhouse; cluck; chick; chicks; two; lay eggs; swim; brown, with a red comb',
  'duck; ducks; water plants and bread; on the lake; quack; duckling; ducklings; two; swim and fly; climb trees; grey, with a flat beak',
  'pig; pigs; potatoes and apples; in the sty; oink; piglet; piglets; four; smell very well; fly; pink and round',
  'rabbit; rabbits; carrots and grass; in a hole in the ground; nothing; bunny; bunnies; four; jump far; fly; soft, with long ears',
  'mouse; mice; cheese and corn; in a small hole; squeak; pup; pups; four; hide in small holes; fly; tiny, with a long tail',
  'bee; bees; nectar from flowers; in the beehive; buzz; larva; larvae; six; make honey; swim; small, yellow and black',
  'fox; foxes; mice and berries; in the forest; yap; cub; cubs; four; sneak quietly; fly; red, with a thick tail',
  'bear; bears; berries, honey and fish; in a cave; growl; cub; cubs; four; sleep all winter; fly; big, brown and strong',
  'marmot; marmots; grass and roots; high in the mountains; a loud whistle; pup; pups; four; whistle and dig; fly; brown and round',
  'eagle; eagles; mice and rabbits; on a high rock; a sharp cry; chick; chicks; two; fly very high; swim; large, with wide wings',
  'owl; owls; mice and frogs; in an old tree; hoo; chick; chicks; two; see in the dark; swim; brown, with big round eyes',
  'frog; frogs; flies and worms; by the pond; croak; tadpole; tadpoles; four; jump and swim; fly; green and wet',
  'squirrel; squirrels; nuts and seeds; in a tree; chatter; pup; pups; four; jump from tree to tree; fly; red, with a bushy tail',
  'hedgehog; hedgehogs; worms and apples; under the leaves; a soft snuffle; hoglet; hoglets; four; roll into a ball; fly; small, with sharp spines',
  'donkey; donkeys; hay and carrots; in the stable; hee-haw; foal; foals; four; carry heavy bags; fly; grey, with long ears',
  'fish; fish; worms and flies; in the lake; nothing; fry; fry; no; swim all day; walk; silver and shiny',
].map(animal);

export interface Food {
  name: string;
  made: string;
  shop: string;
  price: string;
  taste: string;
}

function food(row: string): Food {
  const [name, made, shop, price, taste] = row.split('; ') as string[];
  return { name, made, shop, price, taste } as Food;
}

export const foods: readonly Food[] = [
  'bread; flour, water and salt; bakery; three francs; fresh and warm',
  'cheese; milk; dairy; eight francs; strong and salty',
  'butter; cream; dairy; four francs; soft and mild',
  'jam; berries and sugar; village shop; five francs; sweet and fruity',
  'cake; flour, eggs and sugar; bakery; six francs; soft and sweet',
  'vegetable soup; carrots, potatoes and water; inn; seven francs; warm and healthy',
  'fondue; cheese, garlic and wine; inn; twenty francs; rich and creamy',
  'rösti; potatoes and butter; inn; twelve francs; crisp and golden',
  'chocolate; cocoa, milk and sugar; village shop; two francs; sweet and rich',
  'apple pie; apples, flour and butter; bakery; five francs; sweet and a little sour',
  'muesli; oats, milk and fruit; village shop; six francs; fresh and fruity',
  'lemonade; lemons, water and sugar; inn; four francs; cold and sour',
  'tomato salad; tomatoes, onions and oil; inn; eight francs; fresh and light',
  'fried fish; fish, flour and butter; inn; fifteen francs; crisp and salty',
].map(food);

export interface Season {
  name: string;
  months: string;
  weather: string;
  happens: string;
  wear: string;
  next: string;
  play: string;
}

export const seasons: readonly Season[] = [
  {
    name: 'spring',
    months: 'March, April and May',
    weather: 'mild and often rainy',
    happens: 'the flowers bloom and the birds build nests',
    wear: 'a light jacket',
    next: 'summer',
    play: 'plant flowers and ride a bicycle',
  },
  {
    name: 'summer',
    months: 'June, July and August',
    weather: 'warm and sunny',
    happens: 'the cherries are ripe and the cows are on the high meadow',
    wear: 'a hat and a light shirt',
    next: 'autumn',
    play: 'swim in the lake and eat ice cream',
  },
  {
    name: 'autumn',
    months: 'September, October and November',
    weather: 'cool and windy',
    happens: 'the leaves turn red and the apples are ripe',
    wear: 'a warm jacket',
    next: 'winter',
    play: 'fly a kite and collect nuts',
  },
  {
    name: 'winter',
    months: 'December, January and February',
    weather: 'cold and snowy',
    happens: 'the lake freezes and snow covers the roofs',
    wear: 'a coat, a scarf and gloves',
    next: 'spring',
    play: 'build a snowman and ride a sledge',
  },
];

/** Where something happens: `in the bakery`, `on the lake`, `at the station`. */
export function at(place: string): string {
  if (['lake', 'meadow', 'farm', 'market square'].includes(place)) return `on the ${place}`;
  return `${['station', 'post office', 'mill'].includes(place) ? 'at' : 'in'} the ${place}`;
}

/** A closing time with its part of the day. */
export function hour(closes: string): string {
  if (closes === 'noon') return 'noon';
  return `${closes} o'clock in the ${closes === 'four' || closes === 'five' ? 'afternoon' : 'evening'}`;
}

/** Pets of the stories; each name always belongs to the same kind of animal. */
export const pets: readonly { name: string; kind: string; he: 'he' | 'she'; sound: string; treat: string }[] = [
  { name: 'Barry', kind: 'dog', he: 'he', sound: 'barked', treat: 'a bone' },
  { name: 'Bobby', kind: 'dog', he: 'he', sound: 'barked', treat: 'a sausage' },
  { name: 'Nelly', kind: 'cat', he: 'she', sound: 'meowed', treat: 'a bowl of milk' },
  { name: 'Felix', kind: 'cat', he: 'he', sound: 'meowed', treat: 'a piece of fish' },
  { name: 'Zora', kind: 'goat', he: 'she', sound: 'bleated', treat: 'some fresh leaves' },
  { name: 'Flora', kind: 'goat', he: 'she', sound: 'bleated', treat: 'a handful of hay' },
  { name: 'Stella', kind: 'pony', he: 'she', sound: 'neighed', treat: 'an apple' },
  { name: 'Grisu', kind: 'donkey', he: 'he', sound: 'brayed', treat: 'a carrot' },
  { name: 'Wolli', kind: 'lamb', he: 'he', sound: 'bleated', treat: 'some sweet grass' },
  { name: 'Lili', kind: 'duck', he: 'she', sound: 'quacked', treat: 'a piece of bread' },
];

export const pronouns = {
  he: { he: 'he', him: 'him', his: 'his', child: 'boy', self: 'himself' },
  she: { he: 'she', him: 'her', his: 'her', child: 'girl', self: 'herself' },
} as const;
