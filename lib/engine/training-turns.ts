// Training beside serving on one device, whatever their models: which of them may queue work next.
//
// While nothing is served, training runs freely, but never far ahead of the device, so that a request finds a short
// queue. While something is served, training's stretches run between steps, for its share of the time: a stretch that
// took longer than its due, and what was queued when serving began, is made up for by the steps after it.
import type { Device } from '../core/device.js';
import { keep } from '../core/scope.js';
import { tensor } from '../core/tensor.js';
import { type Clock, monotonic } from '../flow/clock.js';
import { nextTurn } from '../flow/pause.js';
import { Backlog } from './backlog.js';

/** Milliseconds that training may be ahead of the device: about one serving step, a short wait for a request. */
const ahead = 12;
/** The same within a turn: enough to keep the device busy while the next stretch is queued. */
const aheadInTurn = 2;
/** Milliseconds of training between two steps, at most, while it is not in debt. */
const longestTurn = 12;

/** Turns of the event loop within which training has queued its stretch and asks for the next. */
const longestQueuing = 4;

interface Waiting {
  owner: object;
  start: () => void;
  refuse: (error: unknown) => void;
}

const ofDevices = new WeakMap<Device, TrainingTurns>();

export class TrainingTurns {
  readonly #waiting: Waiting[] = [];
  readonly #backlog: Backlog;
  #serving = 0;
  /** Training has the device, and its time is taken. */
  #busy = false;
  /** The stretch that is being queued, before training has asked for the next. */
  #counted = false;
  /** Milliseconds that training has earned; below 0 it has taken too many. */
  #credit = 0;
  #since: number;

  /** `fence` resolves once all that was queued has run. */
  constructor(
    fence: () => Promise<void>,
    private readonly clock: Clock = monotonic,
  ) {
    this.#backlog = new Backlog(fence, clock);
    this.#since = clock.now();
  }

  /** The one of a device. */
  static of(device: Device): TrainingTurns {
    let turns = ofDevices.get(device);
    if (!turns) {
      turns = new TrainingTurns(async () => {
        using fence = keep(tensor(new Int32Array(1), { device }));
        await fence.data();
      });
      ofDevices.set(device, turns);
    }
    return turns;
  }

  /** Resolves when `owner` may queue its next stretch of work; undefined if that is now. */
  turn(owner: object, signal?: AbortSignal): Promise<void> | undefined {
    signal?.throwIfAborted();
    this.#count();
    if (this.#serving > 0) return this.#wait(owner, signal);
    return this.#backlog.remaining > ahead ? this.#pace(owner, signal) : undefined;
  }

  /** One more engine serves; training's share of the time is `share` while any does. */
  enter(share: number): void {
    this.#earn(share);
    this.#serving++;
    if (!this.#busy) void this.#charge(this.#backlog.done());
  }

  /** An engine has nothing to serve any more. */
  leave(): void {
    if (--this.#serving > 0) return;
    for (const { start } of this.#waiting.splice(0)) start();
  }

  /** Whether training has earned a turn between two steps, of an engine that gives it this share. */
  due(share: number): boolean {
    if (this.#busy) return false;
    this.#earn(share);
    return this.#waiting.length > 0 && this.#credit > 0;
  }

  /** Lets training work until its time is used up. The engine queues nothing meanwhile. */
  grant(): Promise<void> {
    return this.#charge(this.#work(this.clock.now() + this.#credit));
  }

  // Counts what was queued since the last turn.
  #count(): void {
    if (this.#counted) this.#counted = false;
    else if (this.#serving === 0 || this.#busy) this.#backlog.add();
    else this.#credit -= this.#backlog.average; // it was no turn's, and steps that serve lie around it
  }

  async #work(until: number): Promise<void> {
    const backlog = this.#backlog;
    do {
      const { count } = backlog;
      this.#waiting.shift()?.start();
      for (let i = 0; i < longestQueuing && backlog.count === count; i++) await nextTurn();
      if (backlog.count === count) {
        backlog.add();
        this.#counted = true;
      }
      await backlog.below(aheadInTurn);
    } while (this.#waiting.length > 0 && this.clock.now() + backlog.remaining + backlog.average <= until);
    await backlog.done();
  }

  // Takes from the credit what this work takes of the time.
  async #charge(work: Promise<void>): Promise<void> {
    const began = this.clock.now();
    this.#busy = true;
    await work;
    this.#busy = false;
    this.#since = this.clock.now();
    this.#credit -= this.#since - began;
  }

  /** `owner` is gone. */
  refuse(owner: object, error: unknown): void {
    for (const entry of this.#waiting.filter((entry) => entry.owner === owner)) {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.refuse(error);
    }
  }

  async #pace(owner: object, signal: AbortSignal | undefined): Promise<void> {
    await this.#backlog.below(ahead);
    signal?.throwIfAborted();
    if (this.#serving > 0) await this.#wait(owner, signal);
  }

  #wait(owner: object, signal: AbortSignal | undefined): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal!.reason);
      };
      const settle = (done: () => void): void => {
        signal?.removeEventListener('abort', stop);
        done();
      };
      const entry: Waiting = {
        owner,
        start: () => settle(resolve),
        refuse: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#waiting.push(entry);
    });
  }

  // Debt shrinks with time; credit grows only while training waits for a turn.
  #earn(share: number): void {
    const now = this.clock.now();
    const earned = ((now - this.#since) * share) / (1 - share);
    this.#since = now;
    this.#credit = Math.min(this.#credit + earned, this.#waiting.length > 0 ? longestTurn : Math.max(0, this.#credit));
  }
}
