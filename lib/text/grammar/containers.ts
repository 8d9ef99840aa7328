// Objects and arrays as graphs: any number of properties or items follow each other without nesting.

import { type Edge, type Expression, empty, repeat, sequence, text } from './expression.js';
import * as json from './json.js';

export interface Property {
  name: string;
  value: Expression;
  required: boolean;
}

/** The properties in their order, then any number of others, whose keys `otherKey` holds behind their first quote. */
export function objectOf(properties: readonly Property[], otherKey: Expression, other: Expression): Expression {
  const count = properties.length;
  const lastRequired = properties.findLastIndex(({ required }) => required);
  // Nodes: before property i or a later one; inside the key of one of these; behind a property before i; the end.
  const before = (i: number): number => 1 + i;
  const inKey = (i: number): number => before(count) + 1 + i;
  const behind = (i: number): number => inKey(count) + 1 + i;
  const end = behind(count) + 1;
  const edges: Edge[] = [[0, before(0), empty]];
  if (lastRequired < 0) edges.push([0, end, empty]);
  for (let i = 0; i <= count; i += 1) {
    // All keys share their quote, so that there is one place before it and not one for each property.
    edges.push([before(i), inKey(i), text('"')], [behind(i), before(i), json.comma]);
    if (i > lastRequired) edges.push([behind(i), end, empty]);
  }
  properties.forEach(({ name, value, required }, i) => {
    edges.push([inKey(i), behind(i + 1), sequence(text(JSON.stringify(name).slice(1)), json.colon, value)]);
    if (!required) edges.push([inKey(i), inKey(i + 1), empty]);
  });
  edges.push([inKey(count), behind(count), sequence(otherKey, json.colon, other)]);
  return json.enclosed('{', { kind: 'graph', nodes: end + 1, edges }, '}');
}

/** The items in their order, then any number of others: `min` to `max` in all. */
export function arrayOf(items: readonly Expression[], other: Expression, min: number, max: number): Expression {
  // The first of the others has an edge of its own where no item comes before it: it has no comma.
  const count = Math.min(Math.max(items.length, 1), max);
  const end = count + 1;
  const edges: Edge[] = [];
  for (let i = 0; i < count; i += 1) {
    const item = items[i] ?? other;
    edges.push([i, i + 1, i > 0 ? sequence(json.comma, item) : item]);
    if (i >= min) edges.push([i, end, empty]);
  }
  const more = sequence(json.comma, other);
  edges.push([count, end, repeat(more, Math.max(0, min - count), max - count)]);
  return json.enclosed('[', { kind: 'graph', nodes: end + 1, edges }, ']');
}
