// Any text that does not hold one of some texts: the automaton of Aho and Corasick over their bytes, without its ends.

import { type ByteRange, byte, type Edge, type Expression, empty } from './expression.js';

/** Every text, of any bytes, in which none of `texts` stands. */
export function textWithout(texts: readonly string[]): Expression {
  // Bytes as characters, so that prefixes and suffixes are those of strings.
  const words = texts.map((text) => Buffer.from(text).toString('latin1'));
  const prefixes = ['', ...new Set(words.flatMap((word) => [...word].map((_, i) => word.slice(0, i + 1))))];
  const nodes = prefixes.filter((prefix) => !words.some((word) => prefix.includes(word)));
  const last = nodes.length;
  const edges: Edge[] = [];
  for (const [from, prefix] of nodes.entries()) {
    edges.push([from, last, empty]);
    const ranges = new Map<number, ByteRange[]>();
    for (let value = 0; value < 256; value += 1) {
      const text = prefix + String.fromCharCode(value);
      if (words.some((word) => text.endsWith(word))) continue;
      const to = nodes.indexOf(longestEnd(text, nodes));
      const known = ranges.get(to) ?? [];
      const [first, before] = known.at(-1) ?? [];
      if (before === value - 1) known[known.length - 1] = [first!, value];
      else known.push([value, value]);
      ranges.set(to, known);
    }
    for (const [to, own] of ranges) edges.push([from, to, byte(...own)]);
  }
  return { kind: 'graph', nodes: nodes.length + 1, edges };
}

function longestEnd(text: string, nodes: readonly string[]): string {
  for (let from = 0; ; from += 1) if (nodes.includes(text.slice(from))) return text.slice(from);
}
