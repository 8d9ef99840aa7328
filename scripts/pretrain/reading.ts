// Questions whose answer stands in the conversation itself: who has the kite, what the cat is called, what my name was.
// Nothing here can be learned by heart, so these teach a small model early to look back and copy a name.

import { type Dice, expand } from './grammar.js';
import type { Exchange } from './talk.js';
import { type Child, children, pronouns } from './world.js';

/** Made-up names of two syllables: too many of them to guess. */
const invented: readonly string[] = ['B', 'D', 'F', 'K', 'L', 'M', 'N', 'P', 'R', 'T'].flatMap((first) =>
  ['a', 'e', 'i', 'o'].flatMap((vowel) => ['ba', 'di', 'lo', 'mi', 'no', 'ra', 'su'].map((end) => first + vowel + end)),
);

const things = ['ball', 'kite', 'book', 'hat', 'scarf', 'bag', 'sledge', 'boat', 'drum', 'doll'];
const colours = ['red', 'blue', 'green', 'yellow', 'white', 'black', 'brown', 'orange'];
const kinds = ['cat', 'dog', 'goat', 'horse', 'rabbit', 'hen', 'donkey', 'mouse', 'duck', 'cow'];
const rooms = ['kitchen', 'garden', 'barn', 'school', 'station', 'forest', 'bakery', 'library', 'mill', 'church'];

export function reading(dice: Dice): Exchange[] {
  return dice.pick([owners, owners, whereabouts, named, named, myName, myName, told])(dice);
}

/** "Tim has a red kite, and Eva has a blue ball. Who has the ball?" */
function owners(dice: Dice): Exchange[] {
  const slots = pairSlots(dice);
  const statement = '[a] has a [colour1] [thing1], and [b] has a [colour2] [thing2].';
  const questions: [string, string][] = [
    ['Who has the [thing1]?', '[a] has the [thing1].'],
    ['Who has the [thing2]?', '[b] has the [thing2].'],
    ['What does [a] have?', '[a] has a [colour1] [thing1].'],
    ['What does [b] have?', '[b] has a [colour2] [thing2].'],
    ['What colour is the [thing1] of [a]?', 'The [thing1] of [a] is [colour1].'],
    ['What colour is the [thing2]?', 'The [thing2] of [b] is [colour2].'],
  ];
  const [first, second] = dice.some(questions, 2) as [[string, string], [string, string]];
  const out = [{ user: expand(`${statement} ${first[0]}`, dice, slots), assistant: expand(first[1], dice, slots) }];
  if (dice.chance(0.5)) {
    out.push({ user: expand(`{|And }${second[0]}`, dice, slots), assistant: expand(second[1], dice, slots) });
  }
  return out;
}

function whereabouts(dice: Dice): Exchange[] {
  const slots = pairSlots(dice);
  const [ask, say] = dice.pick([
    ['Where is [a]?', '[a] is in the [room1].'],
    ['Where is [b]?', '[b] is in the [room2].'],
    ['Who is in the [room1]?', '[a] is in the [room1].'],
    ['Who is in the [room2]?', '[b] is in the [room2].'],
  ]);
  return [
    {
      user: expand(`[a] is in the [room1], and [b] is in the [room2]. ${ask}`, dice, slots),
      assistant: expand(say as string, dice, slots),
    },
  ];
}

/** "My cat is called Milo." … "What is my cat called?" */
function named(dice: Dice): Exchange[] {
  const slots = pairSlots(dice);
  const tell = expand(
    '{My [kind1] is called [x]|I have a [kind1] named [x]|The name of my [kind1] is [x]}.',
    dice,
    slots,
  );
  const ask = expand(
    '{What is my [kind1] called?|What is the name of my [kind1]?|How is my [kind1] called?}',
    dice,
    slots,
  );
  const answer = expand('Your [kind1] is called [x].', dice, slots);
  if (dice.chance(0.5)) return [{ user: `${tell} ${ask}`, assistant: answer }];
  const reply = expand(
    '{[x] is a {nice|beautiful|good} name for a [kind1].|I like the name [x].|[x] must be a lovely [kind1].}',
    dice,
    slots,
  );
  return [
    { user: tell, assistant: reply },
    { user: ask, assistant: answer },
  ];
}

function myName(dice: Dice): Exchange[] {
  const slots = {
    ...pairSlots(dice),
    me: dice.pick(dice.chance(0.5) ? invented : children.map((child) => child.name)),
  };
  const hello = {
    user: expand('{|Hello! |Hi, |Good day! }{my name is|I am} [me].', dice, slots),
    assistant: expand(
      '{Hello|Good day}, [me]! {How can I help you?|What do you want to know?|It is nice to meet you.}',
      dice,
      slots,
    ),
  };
  const ask = {
    user: expand('{What is my name?|Do you know my name?|Who am I?}', dice, slots),
    assistant: expand('Your name is [me].', dice, slots),
  };
  return dice.chance(0.7) ? [hello, ask] : [hello];
}

/** A story in two sentences, and one question about it. */
function told(dice: Dice): Exchange[] {
  const slots = pairSlots(dice);
  const [ask, say] = dice.pick([
    ['Who lost the [thing1]?', '[a] lost the [thing1].'],
    ['What did [a] lose?', '[a] lost a [colour1] [thing1].'],
    ['Who found the [thing1]?', '[b] found it and gave it back to [a].'],
    ['Where was the [thing1]?', 'The [thing1] was in the [room1].'],
  ]);
  return [
    {
      user: expand(
        `[a] lost [his] [colour1] [thing1]. [b] found it in the [room1] and gave it back. ${ask}`,
        dice,
        slots,
      ),
      assistant: expand(say as string, dice, slots),
    },
  ];
}

function pairSlots(dice: Dice): Record<string, string> {
  const [a, b] = dice.some(children, 2) as [Child, Child];
  const two = (list: readonly string[]) => dice.some(list, 2) as [string, string];
  const [[thing1, thing2], [colour1, colour2], [room1, room2], [kind1]] = [
    two(things),
    two(colours),
    two(rooms),
    two(kinds),
  ];
  return {
    a: a.name,
    b: b.name,
    his: pronouns[a.he].his,
    x: dice.pick(invented),
    thing1,
    thing2,
    colour1,
    colour2,
    room1,
    room2,
    kind1,
  };
}
