// A vocabulary as a tree of characters (UTF-16 units): which tokens a text goes on with, at one look-up a character.
//
// Edges lie in one table with open addressing over (node, unit), as objects per node would take ten times the memory.

const none = -1;

export class Trie {
  /** The token that ends in a node; -1 where none does. Node 0 is the root. */
  private readonly values: number[] = [none];
  private slots = new Int32Array(3 * 1024).fill(none);
  private mask = 1023;

  /** A token added again takes the place of the first, as an id does in a map. */
  add(token: string, value: number): void {
    let node = 0;
    for (let at = 0; at < token.length; at += 1) node = this.child(node, token.charCodeAt(at));
    this.values[node] = value;
  }

  /** The node that `unit` leads to; -1 where no token goes on with it. */
  step(node: number, unit: number): number {
    return this.slots[this.slot(node, unit) + 2]!;
  }

  value(node: number): number {
    return this.values[node]!;
  }

  private child(node: number, unit: number): number {
    const at = this.slot(node, unit);
    const known = this.slots[at + 2]!;
    if (known !== none) return known;
    const child = this.values.push(none) - 1;
    this.slots.set([node, unit, child], at);
    // Half empty at least, so that a look-up compares one or two slots.
    if (this.values.length * 2 > this.mask) this.grow();
    return child;
  }

  private slot(node: number, unit: number): number {
    let hash = Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let index = hash & this.mask; ; index = (index + 1) & this.mask) {
      const at = index * 3;
      const found = this.slots[at]!;
      if (found === none || (found === node && this.slots[at + 1] === unit)) return at;
    }
  }

  private grow(): void {
    const old = this.slots;
    this.mask = this.mask * 2 + 1;
    this.slots = new Int32Array(3 * (this.mask + 1)).fill(none);
    for (let at = 0; at < old.length; at += 3) {
      if (old[at] === none) continue;
      this.slots.set(old.subarray(at, at + 3), this.slot(old[at]!, old[at + 1]!));
    }
  }
}
