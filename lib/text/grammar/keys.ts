// An object's key that is none of some names.

import { type CodeRange, choice, type Expression, nothing, repeat, rule, sequence, text } from './expression.js';
import { stringCharacter } from './json.js';
import { inString, without } from './pattern.js';

const mostLength = 4000;

interface Branch {
  readonly next: Map<number, Branch>;
  ends: boolean;
}

/** A string in quotes. Until it differs from all names it holds no escapes, so that none can spell a name. */
export function keyNotAmong(names: readonly string[]): Expression {
  // Beyond that no other key is offered: each character of a name costs a choice.
  if (names.reduce((sum, { length }) => sum + length, 0) > mostLength) return nothing;
  const root: Branch = { next: new Map(), ends: false };
  for (const name of names) {
    let at = root;
    for (const character of name) {
      const code = character.codePointAt(0)!;
      const next = at.next.get(code) ?? { next: new Map<number, Branch>(), ends: false };
      at.next.set(code, next);
      at = next;
    }
    at.ends = true;
  }
  return sequence(text('"'), after(root));
}

const quote = text('"');
const free = rule(sequence(repeat(stringCharacter, 0, Number.POSITIVE_INFINITY), quote));
/** Written with an escape, and half characters: both have no place in a key that must differ from names. */
const hard: readonly CodeRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0xd800, 0xdfff],
];

function after(branch: Branch): Expression {
  const own = rule();
  const same = [...branch.next].map(([code]): CodeRange => [code, code]);
  const parts = [sequence(inString(without([...hard, ...same])), free)];
  if (!branch.ends) parts.push(quote);
  for (const [code, next] of branch.next) {
    if (hard.some(([first, last]) => code >= first && code <= last)) continue;
    parts.push(sequence(text(String.fromCodePoint(code)), after(next)));
  }
  own.rule.expression = choice(...parts);
  return own;
}
