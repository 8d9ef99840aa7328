// The text that the small model learns from: an endless, seeded stream of documents about the village of Edelmatt, made
// by our own grammar. A third are stories and descriptions, the rest are chats in the model's chat format.
//
//   <|begin|>TEXT<|end|>
//   <|begin|><|user|>QUESTION<|end|><|assistant|>ANSWER<|end|> …        after <|system|>TEXT<|end|>, in some chats

import { type Fact, facts } from './facts.js';
import { capital, Dice, expand, polish } from './grammar.js';
import { drilled, frequent, worded } from './knowledge.js';
import { reading } from './reading.js';
import { description, story } from './stories.js';
import { type Exchange, list, smallTalk } from './talk.js';

export const special = {
  begin: '<|begin|>',
  end: '<|end|>',
  pad: '<|pad|>',
  system: '<|system|>',
  user: '<|user|>',
  assistant: '<|assistant|>',
} as const;

export type Split = 'train' | 'heldOut';

/** One document in `heldOutEvery` is kept from training, chosen by its text, so that no seed ever trains on it. */
const heldOutEvery = 50;

/** Training documents without end: the same seed gives the same texts. */
export function* documents(seed: number, split: Split = 'train'): Generator<string> {
  const dice = new Dice(seed);
  for (;;) {
    const text = draw(dice);
    const heldOut = fingerprint(text) % heldOutEvery === 0;
    if (heldOut === (split === 'heldOut')) yield text;
  }
}

/** The first `count` held-out documents of a fixed seed: what the loss is measured on. */
export function sampleEval(count = 200): string[] {
  const out: string[] = [];
  for (const text of documents(20_000, 'heldOut')) {
    out.push(text);
    if (out.length >= count) break;
  }
  return out;
}

/** FNV-1a over the UTF-16 units, 32 bits, with a last mix so that the low bits are even. */
function fingerprint(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}

function draw(dice: Dice): string {
  if (dice.chance(0.25)) return `${special.begin}${story(dice).text}${special.end}`;
  if (dice.chance(0.14)) return `${special.begin}${description(dice)}${special.end}`;
  return chat(dice);
}

const systems: readonly string[] = [
  'You are a helpful assistant.',
  'You are a friendly guide to the village of Edelmatt.',
  'You are a friendly helper. Answer in short sentences.',
  'You answer questions about the village of Edelmatt.',
  'Be kind and helpful.',
  'You are a kind assistant, and you speak simple English.',
];

function chat(dice: Dice): string {
  let text: string = special.begin;
  if (dice.chance(0.12)) text += `${special.system}${dice.pick(systems)}${special.end}`;
  for (const { user, assistant } of exchanges(dice)) {
    text += `${special.user}${casual(polish(user), dice)}${special.end}`;
    text += `${special.assistant}${polish(assistant)}${special.end}`;
  }
  return text;
}

function exchanges(dice: Dice): Exchange[] {
  const roll = dice.next();
  if (roll < 0.2) return [storyRequest(dice)];
  if (roll < 0.36) return [smallTalk(dice)];
  if (roll < 0.4) return [list(dice)];
  if (roll < 0.45) return [question(dice.pick(frequent), dice)];
  if (roll < 0.57) return reading(dice);
  if (roll < 0.78) return [question(anyFact(dice), dice)];
  if (roll < 0.9) return series(dice);
  // Turns that have nothing to do with each other: the last question counts, not the one before.
  const out = dice.chance(0.5) ? [smallTalk(dice)] : [];
  while (out.length < 2) out.push(question(anyFact(dice), dice));
  if (dice.chance(0.3)) out.push(dice.chance(0.4) ? storyRequest(dice) : smallTalk(dice));
  return out;
}

function anyFact(dice: Dice): Fact {
  const roll = dice.next();
  if (roll < 0.22) return dice.pick(worded);
  return dice.pick(roll < 0.42 ? drilled : facts());
}

const polite = [
  'Can you tell me',
  'Could you tell me',
  'Please tell me',
  'Do you know',
  'I would like to know',
  'Tell me',
];

/** A fact, asked and answered once. */
export function question(fact: Fact, dice: Dice): Exchange {
  let user = dice.pick(fact.ask);
  if (fact.tell !== undefined && dice.chance(0.3)) {
    const start = dice.pick(polite);
    user = `${start} ${fact.tell}${/^(?:Can|Could|Do)/.test(start) ? '?' : '.'}`;
  }
  if (dice.chance(0.05))
    user = `${dice.pick(['Hello!', 'Hi!', 'Please help me.', 'I have a question.'])} ${capital(user)}`;
  return { user, assistant: dice.pick(fact.say) };
}

const bySubject = new Map<string, Fact[]>();
for (const fact of facts()) {
  const list = bySubject.get(fact.subject);
  if (list) list.push(fact);
  else bySubject.set(fact.subject, [fact]);
}
const talkative = [...bySubject.values()].filter((list) => list.filter((fact) => fact.follow !== undefined).length > 1);

/** Two or three questions about one subject; the later ones say "it", "they", "he" or "she". */
function series(dice: Dice): Exchange[] {
  const list = dice.pick(talkative);
  const first = dice.pick(list);
  const later = dice.some(
    list.filter((fact) => fact !== first && fact.follow !== undefined),
    1 + dice.below(2),
  );
  return [
    question(first, dice),
    ...later.map((fact) => ({
      user: `${dice.pick(['', '', 'And ', 'Thank you. And '])}${fact.follow as string}`,
      assistant: dice.pick(fact.say),
    })),
  ];
}

function storyRequest(dice: Dice): Exchange {
  const { about, text } = story(dice);
  // Most topics are named; a plain request may get any story.
  const user = dice.chance(0.8)
    ? expand(
        '{Tell me|Please tell me|Write|Can you tell me|I want to hear|Please write} a {|short |little }story about [topic]',
        dice,
        { topic: about },
      )
    : expand(
        '{Tell me a story|Tell me a short story|Please tell me a story|Write a short story|Can you tell me a story|I want to hear a story}',
        dice,
      );
  return { user: `${user}${user.startsWith('Can') ? '?' : '.'}`, assistant: text };
}

/** People type in a hurry: some questions lose their capital letters or their last mark. */
function casual(text: string, dice: Dice): string {
  let out = text;
  if (dice.chance(0.1)) out = out.toLowerCase();
  if (dice.chance(0.1)) out = out.replace(/[.?!]$/, '');
  return out;
}
