// The functions that every template finds: Jinja's own.
import {
  type Arguments,
  Callable,
  type Dict,
  Instance,
  iterate,
  keyOf,
  Namespace,
  numeric,
  type Value,
} from './values.js';
import { str } from './write.js';

// As in transformers' sandbox.
const longestRange = 100_000;

function range(args: Arguments): Value {
  const [first, second, third] = args.as('range()', 'start', 'stop', 'step').map((value) => {
    if (value === undefined || typeof value === 'number' || typeof value === 'boolean') return numeric(value);
    throw new Error('range() takes integers');
  });
  if (first === undefined) throw new Error('range() takes at least 1 argument');
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const step = third ?? 1;
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > longestRange) throw new Error(`range() gives ${longestRange} numbers at most`);
  return Array.from({ length }, (_, index) => start + index * step);
}

/** Python's dict(): pairs or another dictionary, and names. */
function dict({ positional, named }: Arguments): Dict {
  if (positional.length > 1) throw new Error('dict() takes at most 1 argument');
  const [source] = positional;
  const made: Dict = new Map(source instanceof Map ? source : []);
  if (source !== undefined && !(source instanceof Map)) {
    for (const pair of iterate(source)) {
      const [key, value, ...more] = iterate(pair);
      if (value === undefined || more.length > 0) throw new Error('dict() takes pairs');
      made.set(keyOf(key), value);
    }
  }
  for (const [name, value] of named) made.set(name, value);
  return made;
}

/** Writes its text from the second call on. */
class Joiner extends Instance {
  private used = false;

  constructor(private readonly between: string) {
    super();
  }

  attribute(): Value {
    return undefined;
  }

  override call(): Value {
    const { used } = this;
    this.used = true;
    return used ? this.between : '';
  }

  text(): string {
    return '<Joiner>';
  }
}

class Cycler extends Instance {
  private at = 0;

  constructor(private readonly entries: readonly Value[]) {
    super();
    if (entries.length === 0) throw new Error('at least one item has to be provided');
  }

  attribute(name: string): Value {
    if (name === 'current') return this.entries[this.at];
    if (name === 'next') return new Callable(name, () => this.next());
    if (name !== 'reset') return undefined;
    return new Callable(name, () => {
      this.at = 0;
      return null;
    });
  }

  private next(): Value {
    const entry = this.entries[this.at];
    this.at = (this.at + 1) % this.entries.length;
    return entry;
  }

  text(): string {
    return '<Cycler>';
  }
}

export const globals: ReadonlyMap<string, Value> = new Map<string, Value>(
  Object.entries({
    range,
    dict,
    namespace: (args: Arguments) => new Namespace(new Map([...dict(args)].map(([key, value]) => [str(key), value]))),
    joiner: (args: Arguments) => new Joiner(str(args.as('joiner()', 'sep')[0] ?? ', ')),
    cycler: ({ positional }: Arguments) => new Cycler(positional),
  }).map(([name, call]) => [name, new Callable(name, call)]),
);

export const constants: ReadonlyMap<string, Value> = new Map<string, Value>([
  ...['true', 'True'].map((name) => [name, true] as const),
  ...['false', 'False'].map((name) => [name, false] as const),
  ...['none', 'None'].map((name) => [name, null] as const),
]);
