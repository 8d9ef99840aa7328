// An object's key that differs from all of some names, from behind its first quote on.

import { byte, type CodeRange, choice, type Edge, type Expression, rule, text } from './expression.js';
import { restOfString } from './json.js';
import { inString, without } from './pattern.js';

/** Names as a trie over their characters. */
interface Branch {
  /** The branch's number by the character that leads to it. */
  readonly next: Map<number, number>;
  ends: boolean;
}

/** Characters that need an escape, and surrogates: a key has none before it differs from the names. */
const hard: readonly CodeRange[] = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0xd800, 0xdfff],
];
const ascii: CodeRange = [0, 0x7f];
const wide: CodeRange = [0x80, 0x10ffff];
const anyWide = rule(inString(without([...hard, ascii])));

/** The key holds no escapes until it differs from all names, since an escape could spell a name. */
export function keyNotAmong(names: readonly string[]): Expression {
  if (names.length === 0) return restOfString();
  const branches: Branch[] = [{ next: new Map(), ends: false }];
  for (const name of names) {
    let at = branches[0]!;
    for (const character of name) {
      const code = character.codePointAt(0)!;
      const next = at.next.get(code) ?? branches.push({ next: new Map(), ends: false }) - 1;
      at.next.set(code, next);
      at = branches[next]!;
    }
    at.ends = true;
  }
  const free = branches.length;
  const end = free + 1;
  const edges: Edge[] = [[free, end, restOfString()]];
  branches.forEach(({ next, ends }, at) => {
    const same = [...next.keys()].map((code): CodeRange => [code, code]);
    const others = same.some(([code]) => code > ascii[1]) ? inString(without([...hard, ...same, ascii])) : anyWide;
    edges.push([at, free, choice(byte(...without([...hard, ...same, wide])), others)]);
    if (!ends) edges.push([at, end, text('"')]);
    for (const [code, branch] of next) {
      const isHard = hard.some(([first, last]) => code >= first && code <= last);
      if (!isHard) edges.push([at, branch, text(String.fromCodePoint(code))]);
    }
  });
  return { kind: 'graph', nodes: end + 1, edges };
}
