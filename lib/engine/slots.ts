// Which adapter is in which slot of the batch's buffers: no bytes, only keys. A slot in use stays; of the others the one
// that was left longest ago is given up first.

export class SlotTable<K> {
  readonly #slots = new Map<K, { slot: number; users: number }>();
  readonly #empty: number[];

  constructor(readonly total: number) {
    this.#empty = Array.from({ length: total }, (_, i) => total - 1 - i);
  }

  /** Whether `take` would give a slot. */
  has(key: K): boolean {
    return this.#slots.has(key) || this.#empty.length > 0 || this.#idle() !== undefined;
  }

  /** A slot for one more user of `key`, whose content it may have to write; undefined if all are in use. */
  take(key: K): number | undefined {
    const known = this.#slots.get(key);
    if (known) {
      known.users++;
      return known.slot;
    }
    let slot = this.#empty.pop();
    if (slot === undefined) {
      const idle = this.#idle();
      if (idle === undefined) return undefined;
      slot = this.#slots.get(idle)!.slot;
      this.#slots.delete(idle);
    }
    this.#slots.set(key, { slot, users: 1 });
    return slot;
  }

  /** One user less. */
  leave(key: K): void {
    const held = this.#slots.get(key)!;
    held.users--;
    if (held.users > 0) return;
    // The order of the map is the order in which slots were left.
    this.#slots.delete(key);
    this.#slots.set(key, held);
  }

  /** The key in use that has the fewest users. */
  leastUsed(): K | undefined {
    let least: { key: K; users: number } | undefined;
    for (const [key, { users }] of this.#slots) {
      if (users > 0 && (!least || users < least.users)) least = { key, users };
    }
    return least?.key;
  }

  slotOf(key: K): number | undefined {
    return this.#slots.get(key)?.slot;
  }

  #idle(): K | undefined {
    for (const [key, { users }] of this.#slots) if (users === 0) return key;
    return undefined;
  }
}
