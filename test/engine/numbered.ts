// Sequences of made-up tokens for the scheduler's tests.
import { expect } from 'vitest';
import { Scheduler } from '../../lib/engine/scheduler.js';
import type { SchedulerLimits, Sequence } from '../../lib/engine/sequence.js';

export interface Wanted {
  client?: string;
  produces?: number;
  adapterNow?: string;
  chooses?: boolean;
}

let salt = 0;

export function sequence(
  prompt: number | number[],
  { client = '', produces = 4, adapterNow, chooses = true }: Wanted = {},
): Sequence {
  salt += 1000;
  const tokens = typeof prompt === 'number' ? Array.from({ length: prompt }, (_, i) => salt + i) : [...prompt];
  const length = tokens.length;
  const state = { length, computed: 0, cached: 0, passed: 0, held: undefined, names: undefined, adapterKey: undefined };
  const most = chooses ? length + produces : length;
  return { client, tokens, promptLength: length, most, chooses, named: chooses, adapterNow, ...state };
}

/** Of one group of layers without a window, with `blocks` blocks, unless `groups` says otherwise. */
export const scheduler = ({
  blocks = 64,
  ...limits
}: Partial<SchedulerLimits> & { blocks?: number } = {}): Scheduler<Sequence> =>
  new Scheduler({
    groups: [{ blocks, window: undefined }],
    states: 0,
    switches: [],
    blockSize: 4,
    maxBatch: 4,
    stepTokens: 16,
    adapterSlots: 2,
    ...limits,
  });

/** One step with its tokens read, as `[sequence's number among `all`, from, count]`. */
export function step(of: Scheduler<Sequence>, all: readonly Sequence[], beside?: number): number[][] {
  const parts = of.plan(beside);
  of.commit(parts);
  for (const { sequence, samples } of parts) if (samples) (sequence.tokens as number[]).push(7);
  for (const { sequence } of parts) {
    if (sequence.length === sequence.most && (sequence.chooses || sequence.computed === sequence.most)) {
      of.remove(sequence);
    }
  }
  return parts.map(({ sequence, from, count }) => [all.indexOf(sequence), from, count]);
}

export function run(of: Scheduler<Sequence>): number {
  let steps = 0;
  while (step(of, []).length > 0) expect(++steps).toBeLessThan(1000);
  expect(of.waiting.length + of.running.length).toBe(0);
  expect(of.memory.used).toBe(0);
  return steps;
}
