// The variable `loop` of a for loop.
import { type Arguments, Callable, equals, Instance, Tuple, type Value } from './values.js';

export class Loop extends Instance {
  index0 = 0;
  private last: Value[] | undefined;

  /** @param recurse writes the loop's body for other items, where the loop is recursive */
  constructor(
    readonly items: readonly Value[],
    readonly depth0: number,
    private readonly recurse: ((items: Value) => string) | undefined,
  ) {
    super();
  }

  attribute(name: string): Value {
    const { index0, items, depth0 } = this;
    switch (name) {
      case 'index':
        return index0 + 1;
      case 'index0':
        return index0;
      case 'revindex':
        return items.length - index0;
      case 'revindex0':
        return items.length - index0 - 1;
      case 'first':
        return index0 === 0;
      case 'last':
        return index0 === items.length - 1;
      case 'length':
        return items.length;
      case 'depth':
        return depth0 + 1;
      case 'depth0':
        return depth0;
      case 'previtem':
        return index0 > 0 ? items[index0 - 1] : undefined;
      case 'nextitem':
        return items[index0 + 1];
      case 'cycle':
        return new Callable('cycle', ({ positional }) => {
          if (positional.length === 0) throw new Error('no items for cycling given');
          return positional[index0 % positional.length];
        });
      case 'changed':
        return new Callable('changed', ({ positional }) => this.changed(positional));
    }
    return undefined;
  }

  private changed(values: readonly Value[]): boolean {
    const same = this.last !== undefined && equals(new Tuple(this.last), new Tuple(values));
    this.last = [...values];
    return !same;
  }

  override call(args: Arguments): Value {
    if (!this.recurse) throw new Error("The loop must have the 'recursive' marker to be called recursively.");
    return this.recurse(args.as('loop()', 'iterable')[0]);
  }

  text(): string {
    return `<LoopContext ${this.index0 + 1}/${this.items.length}>`;
  }
}
