// Texts of several sentences: stories drawn from the plots, and descriptions of people, places, animals and days.

import { adventures } from './adventures.js';
import { articles, type Dice, expand, polish, type Slots } from './grammar.js';
import { plots } from './plots.js';
import {
  animals,
  at,
  type Child,
  children,
  foods,
  hour,
  outdoors,
  people,
  pets,
  places,
  pronouns,
  seasons,
} from './world.js';

export interface Story {
  /** What it is about, after "a story about". */
  about: string;
  text: string;
}

const hiding = [
  'on the market square',
  'behind the church',
  'at the station',
  'near the river',
  'in the garden of the inn',
  'in the old barn',
];
const sources = ['the old barn', 'the roof of the inn', 'the garden of the inn', 'the mill', 'the bakery', 'the farm'];
const things = ['hat', 'ball', 'key', 'scarf', 'book', 'glove', 'cap', 'drum'];
const toys = ['horse', 'train', 'boat', 'doll', 'sledge', 'bear'];
/** Grown-ups who act in no plot, so that none of them meets themselves. */
const bystanders = ['Clara', 'Frieda', 'Rosa', 'Sophie', 'Theo', 'Urs', 'Vera'];
const small = ['mouse', 'rabbit', 'squirrel', 'hedgehog', 'frog', 'duck', 'hen', 'marmot'];

const all = [...plots, ...adventures];

export function story(dice: Dice): Story {
  const plot = dice.pick(all);
  const [hero, friend] = dice.some(children, 2) as [Child, Child];
  const pet = dice.pick(pets);
  const [where, there] = dice.some(hiding, 2) as [string, string];
  const [a1, a2] = dice.some(small, 2) as [string, string];
  const grown = dice.pick(people.filter((one) => bystanders.includes(one.name)));
  const it = pronouns[pet.he];
  const other = pronouns[friend.he];
  const slots: Slots = {
    n: hero.name,
    ...pronouns[hero.he],
    m: friend.name,
    mhe: other.he,
    mhim: other.him,
    mhis: other.his,
    p: pet.name,
    kind: pet.kind,
    phe: it.he,
    phim: it.him,
    phis: it.his,
    sound: pet.sound,
    treat: pet.treat,
    grown: `${grown.name} the ${grown.job}`,
    where,
    there,
    a1,
    a2,
    place: dice.pick(sources),
    thing: dice.pick(things),
    toy: dice.pick(toys),
  };
  const sentences = plot.lines.map((line) => expand(line, dice, slots));
  return { about: articles(expand(dice.pick(plot.about), dice, slots)), text: polish(sentences.join(' ')) };
}

/** A description: the same facts as the answers, told as a text. */
export function description(dice: Dice): string {
  const tellers = [portrait, portrait, house, outside, creature, creature, season, morning, visit, visit];
  return polish(dice.pick(tellers)(dice));
}

function portrait(dice: Dice): string {
  const one = dice.pick(people);
  const { he, his } = pronouns[one.he];
  return expand(
    '[name] is the [job] of Edelmatt. {[he] works [at], where [he] [does].|Every day [he] works [at]. [he] [does].} ' +
      '{At noon|When [he] is hungry}, [he] likes to eat [food]. {At home [he] has [pet].|[name] has [pet].} ' +
      '{After work|In the evening}, [he] likes to [hobby]. {Everyone in the village likes [name].|[his] friends like [name] very much.|The children often visit [name].}',
    dice,
    { ...one, he, his, at: at(one.place) },
  );
}

function house(dice: Dice): string {
  const one = dice.pick(places);
  const shut = one.shut === 'no day' ? 'It is open every day.' : `On ${one.shut} it is closed.`;
  return expand(
    'The [name] of Edelmatt is [where]. {It has a [colour] door.|You can see its [colour] door from far away.} ' +
      "It opens at [opens] o'clock in the morning and closes at [evening]. [shut] {There you can [there].|People go there to [there].}",
    dice,
    { ...one, evening: hour(one.closes), shut },
  );
}

function outside(dice: Dice): string {
  const one = dice.pick(outdoors);
  return expand(
    'The [name] is [where]. It is [like]. {In summer, many people come to [there].|You can [there] there.} {It is a good place for children.|Everyone in Edelmatt likes the [name].}',
    dice,
    one,
  );
}

function creature(dice: Dice): string {
  const one = dice.pick(animals);
  return expand(
    '{[plural] live [home]. A [name] is [looks].|The [name] lives [home]. It is [looks].} [plural] eat [eats]. ' +
      '{[plural] can [can], but they cannot [cannot].|They can [can].} {A young [name] is called a [baby].|Their babies are called [babies].}',
    dice,
    { ...one },
  );
}

function season(dice: Dice): string {
  const one = dice.pick(seasons);
  return expand(
    'In [name] the weather is [weather]. [happens]. {The children [play].|The children like to [play].} {People wear [wear].|You need [wear].} {After [name] comes [next].|The months of [name] are [months].}',
    dice,
    { ...one },
  );
}

const scenes: readonly string[] = [
  'Anna takes the {warm|fresh} bread out of the oven',
  'Urs {opens the station|sells the first tickets}',
  'Emil milks the cows',
  'Bruno {gets on his yellow bicycle|puts the letters in his big bag}',
  'Clara rings the bell of the school',
  "the red train {leaves at six o'clock|comes into the station}",
  'Hans rows his boat onto the lake',
  'Rosa puts {apples|strawberries} in front of the shop',
  'Oskar plays the flute on the meadow',
  'Vera fills a bag with flour',
  'Ida cooks soup in the inn',
  'Lena gives water to the flowers',
  'Paul repairs {an old clock|a small watch}',
  'the children walk to school',
  'Minka the cat sleeps in the sun',
];

function morning(dice: Dice): string {
  const [a, b, c, d] = dice.some(scenes, 4) as [string, string, string, string];
  const day = dice.pick(['Monday', 'Tuesday', 'Thursday', 'Friday']);
  return expand(
    `{It is [day] morning in Edelmatt.|A new day begins in Edelmatt.} {The sun comes up over the Grauhorn.|The sun is shining on the roofs.} ${a}. ${b}, and ${c}. {Then|A little later,} ${d}. {It is going to be a good day.|So begins a day in the village.|"Good morning!" they call to each other.}`,
    dice,
    { day },
  );
}

function visit(dice: Dice): string {
  const child = dice.pick(children);
  const food = dice.pick(foods);
  const seller = people.find((one) => one.place === food.shop);
  return expand(
    '{In the morning|On [day]|After school}, [n] {went|walked} to the [shop], because [he] wanted to buy [food]. ' +
      '"{Good day|Hello}, [seller]!" said [n]. "{How much does the [food] cost|What does the [food] cost}?" ' +
      '"It costs [price]," said [seller]. {[n] counted [his] money. It was enough.|[n] had just enough money.} ' +
      '{[seller] smiled and gave [him] the [food].|[seller] put the [food] on the table.} {"It is made of [made]," [she] said.|"Enjoy it!" [she] said.} ' +
      '{The [food] tasted [taste].|It tasted [taste], and [n] was happy.|[n] shared it with [his] friends.}',
    dice,
    {
      ...pronouns[child.he],
      n: child.name,
      day: dice.pick(['Tuesday', 'Thursday', 'Friday']),
      shop: food.shop,
      food: food.name,
      price: food.price,
      made: food.made,
      taste: food.taste,
      seller: seller?.name ?? 'Rosa',
      she: seller?.he ?? 'she',
    },
  );
}
