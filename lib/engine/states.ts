// Places of states: no bytes, only numbers. Place 0 stays zero, and every sequence begins there; running sequences have a
// place each, and the rest hold snapshots by name, of which the one that was used longest ago is given up first.

export class StatePlaces {
  readonly zero = 0;
  readonly #empty: number[];
  /** In the order in which they were last used. */
  readonly #snapshots = new Map<string, number>();

  constructor(total: number) {
    this.#empty = Array.from({ length: total - 1 }, (_, i) => total - 1 - i);
  }

  get available(): boolean {
    return this.#empty.length + this.#snapshots.size > 0;
  }

  /** A place for a running sequence; undefined if all are held. */
  take(): number | undefined {
    return this.#empty.pop() ?? this.#giveUp();
  }

  free(place: number): void {
    this.#empty.push(place);
  }

  /** The place of a snapshot. */
  find(name: string): number | undefined {
    const place = this.#snapshots.get(name);
    if (place === undefined) return undefined;
    this.#snapshots.delete(name);
    this.#snapshots.set(name, place);
    return place;
  }

  /** A place for a new snapshot; undefined if it exists, or running sequences hold all places. */
  snapshot(name: string): number | undefined {
    if (this.#snapshots.has(name)) return undefined;
    const place = this.take();
    if (place !== undefined) this.#snapshots.set(name, place);
    return place;
  }

  forget(): void {
    this.#empty.push(...this.#snapshots.values());
    this.#snapshots.clear();
  }

  #giveUp(): number | undefined {
    const [oldest] = this.#snapshots;
    if (oldest === undefined) return undefined;
    this.#snapshots.delete(oldest[0]);
    return oldest[1];
  }
}
