// A string of a pattern and of a bounded length: the pattern's characters as an automaton, times a counter.

import { type Edge, type Expression, empty, rule } from './expression.js';
import { isCharacter } from './pattern.js';

const mostNodes = 2000;
const mostCountedNodes = 12_000;

type Arrow = [from: number, to: number, part: Expression];

/**
 * What matches `inside`, an expression of whole characters, with `min` to `max` of them. Undefined where that takes too
 * many nodes.
 */
export function ofLength(inside: Expression, min: number, max: number): Expression | undefined {
  const [shortest, longest] = lengthsOf(inside);
  if (shortest >= min && longest <= max) return inside;
  const characters = new Characters(max);
  const end = characters.node();
  characters.add(inside, 0, end);
  if (characters.overflow) return undefined;
  // Beyond the least length the count makes no difference where there is no greatest one.
  const counts = Number.isFinite(max) ? max : min;
  const nodes = characters.nodes * (counts + 1) + 1;
  if (nodes > mostCountedNodes) return undefined;
  const last = nodes - 1;
  const at = (node: number, count: number): number => count * characters.nodes + node;
  const edges: Edge[] = [];
  for (let count = 0; count <= counts; count += 1) {
    for (const [from, to, part] of characters.arrows) {
      const next = part === empty ? count : count < counts ? count + 1 : Number.isFinite(max) ? undefined : count;
      if (next !== undefined) edges.push([at(from, count), at(to, next), part]);
    }
    if (count >= min) edges.push([at(end, count), last, empty]);
  }
  return { kind: 'graph', nodes, edges };
}

/** Fewest and most characters. */
function lengthsOf(part: Expression): [shortest: number, longest: number] {
  if (isCharacter(part)) return [1, 1];
  switch (part.kind) {
    case 'sequence':
      return part.parts.map(lengthsOf).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
    case 'choice':
      return part.parts
        .map(lengthsOf)
        .reduce(([a, b], [c, d]) => [Math.min(a, c), Math.max(b, d)], [Number.POSITIVE_INFINITY, 0]);
    case 'repeat': {
      const [shortest, longest] = lengthsOf(part.part);
      return [part.min * shortest, longest === 0 ? 0 : part.max * longest];
    }
    case 'rule':
      return part.rule.expression ? lengthsOf(part.rule.expression) : [Number.POSITIVE_INFINITY, 0];
    default:
      return [0, Number.POSITIVE_INFINITY];
  }
}

/** An automaton over characters, whose counted repetitions are written out. */
class Characters {
  readonly arrows: Arrow[] = [];
  nodes = 1;
  overflow = false;
  readonly #rules = new Map<Expression, Expression>();

  /** @param longest repetitions beyond it add nothing */
  constructor(private readonly longest: number) {}

  node(): number {
    this.nodes += 1;
    if (this.nodes > mostNodes) this.overflow = true;
    return this.nodes - 1;
  }

  add(part: Expression, from: number, to: number): void {
    if (this.overflow) return;
    if (isCharacter(part)) this.arrows.push([from, to, this.#built(part)]);
    else if (part.kind === 'sequence') this.#sequence(part.parts, from, to);
    else if (part.kind === 'choice') for (const one of part.parts) this.add(one, from, to);
    else if (part.kind === 'repeat') this.#repeat(part.part, part.min, part.max, from, to);
    else if (part.kind === 'rule' && part.rule.expression) this.add(part.rule.expression, from, to);
    else if (part.kind !== 'rule') this.overflow = true;
  }

  /** The character as a rule, which is built once for all counts. */
  #built(part: Expression): Expression {
    const built = this.#rules.get(part) ?? rule(part);
    this.#rules.set(part, built);
    return built;
  }

  #sequence(parts: readonly Expression[], from: number, to: number): void {
    let at = from;
    parts.forEach((part, i) => {
      const next = i === parts.length - 1 ? to : this.node();
      this.add(part, at, next);
      at = next;
    });
    if (parts.length === 0) this.arrows.push([from, to, empty]);
  }

  #repeat(part: Expression, min: number, max: number, from: number, to: number): void {
    // A node of its own on each side: an arrow back to a shared one would repeat what others do.
    let at = this.node();
    this.arrows.push([from, at, empty]);
    for (let i = 0; i < min && !this.overflow; i += 1) at = this.#after(part, at);
    if (max === Number.POSITIVE_INFINITY) this.add(part, at, at);
    const most = Math.min(max, Math.max(this.longest, min));
    for (let i = min; Number.isFinite(max) && i < most && !this.overflow; i += 1) {
      this.arrows.push([at, to, empty]);
      at = this.#after(part, at);
    }
    this.arrows.push([at, to, empty]);
  }

  #after(part: Expression, from: number): number {
    const to = this.node();
    this.add(part, from, to);
    return to;
  }
}
