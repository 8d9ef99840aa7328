// What sequences hold: blocks of layers with and without a window, and places for states, as the scheduler plans over them.
import { describe, expect, it } from 'vitest';
import type { Held } from '../../lib/engine/memory.js';
import type { Scheduler } from '../../lib/engine/scheduler.js';
import type { Part, Sequence } from '../../lib/engine/sequence.js';
import { run, scheduler, sequence, step } from './numbered.js';

const windowed = {
  groups: [
    { blocks: 64, window: undefined },
    { blocks: 24, window: 6 },
  ],
};
const held = (of: Held | undefined, group: number): number[] =>
  of ? of.tables[group]!.blocks.slice(of.tables[group]!.first) : [];

/** Every token that a part's queries look back upon lies in a block of its own, which no other sequence writes. */
function check(
  s: Scheduler<Sequence>,
  parts: readonly Part<Sequence>[],
  groups: readonly { window: number | undefined }[],
) {
  for (const [g, { window }] of groups.entries()) {
    const written = new Map<number, Sequence>();
    for (const { sequence: one, from, count } of parts) {
      const { first, blocks } = one.held!.tables[g]!;
      const seen = window === undefined ? 0 : Math.max(0, from - window + 1);
      expect(first * 4).toBeLessThanOrEqual(seen);
      expect(blocks.length * 4).toBeGreaterThanOrEqual(from + count);
      expect(new Set(held(one.held, g)).size).toBe(blocks.length - first);
      for (let i = Math.floor(from / 4); i * 4 < from + count; i++) {
        expect(written.get(blocks[i]!) ?? one).toBe(one);
        written.set(blocks[i]!, one);
      }
    }
    if (window === undefined) continue;
    const most = Math.ceil((window + s.limits.stepTokens - 2) / 4) + 1;
    for (const one of s.running) expect(held(one.held, g).length).toBeLessThanOrEqual(most);
  }
}

describe('blocks of a window', () => {
  it('are freed as they fall out of it, and a long text costs no more than a short one', () => {
    const s = scheduler({ ...windowed, stepTokens: 8 });
    const one = sequence(60, { produces: 40 });
    s.add(one);
    const costs: number[] = [];
    for (let i = 0; i < 40; i++) {
      const parts = s.plan();
      if (parts.length === 0) break;
      check(s, parts, windowed.groups);
      s.commit(parts);
      for (const { samples } of parts) if (samples) (one.tokens as number[]).push(7);
      costs.push(held(one.held, 1).length);
    }
    expect(held(one.held, 0).length).toBe(Math.ceil(one.computed / 4));
    expect(Math.max(...costs)).toBeLessThanOrEqual(4);
    s.remove(one);
    expect(s.memory.used).toBe(0);
  });

  it('are no reason to send a sequence away: a text longer than all of them runs', () => {
    const groups = [{ blocks: 4, window: 6 }];
    const s = scheduler({ groups, stepTokens: 8 });
    s.add(sequence(100, { produces: 20 }));
    run(s);
    expect(s.preemptions).toBe(0);
    expect(s.memory.capacity).toBe(Infinity);
    expect(scheduler({ groups: [{ blocks: 3, window: 6 }], stepTokens: 8 }).memory.capacity).toBe(12);
  });

  it('are shared where all that the next token sees is known', () => {
    const s = scheduler({ ...windowed, stepTokens: 64 });
    const prompt = Array.from({ length: 30 }, (_, i) => i);
    s.add(sequence(prompt));
    run(s);
    const again = sequence(prompt);
    const other = sequence([...prompt.slice(0, 17), 99, 98, 97]);
    for (const one of [again, other]) s.add(one);
    const parts = s.plan();
    check(s, parts, windowed.groups);
    expect([again, other].map(({ cached }) => cached)).toEqual([28, 16]);
    expect(again.held!.tables[1]!.first).toBe(5);
    run(s);
  });

  it.each([1, 2, 3, 4, 5, 6])('never overlap whatever happens, in random order %d', (seed) => {
    let state = seed;
    const random = (below: number): number => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const groups = [
      { blocks: 20, window: undefined },
      { blocks: 14, window: 5 },
      { blocks: 30, window: 17 },
    ];
    const s = scheduler({ groups, stepTokens: 6 + random(10), maxBatch: 1 + random(5), states: random(2) * 8 });
    const all: Sequence[] = [];
    const next = (): boolean => {
      const parts = s.plan();
      check(s, parts, groups);
      s.takeCopies();
      s.commit(parts);
      for (const { sequence: one, samples } of parts) if (samples) (one.tokens as number[]).push(7);
      for (const { sequence: one } of parts) if (one.length === one.most) s.remove(one);
      expect(s.memory.used + s.memory.available).toBe(64);
      return parts.length > 0;
    };
    for (let i = 0; i < 30; i++) {
      const prompt = Array.from({ length: 1 + random(50) }, (_, n) => (n < 12 ? n : random(3)));
      const one = sequence(prompt, { client: String(i % 3), produces: 1 + random(20) });
      all.push(one);
      s.add(one);
      for (let n = random(3); n > 0; n--) next();
      const fate = random(9);
      if (fate === 0) s.remove(one);
      if (fate === 1 && s.all.includes(one)) s.park(one);
    }
    while (next());
    for (const one of all) s.resume(one);
    while (next());
    expect(s.running.length + s.waiting.length).toBe(0);
    expect(s.memory.used).toBe(0);
  });
});

describe('states', () => {
  // The zero place, four for sequences and three for snapshots, as nothing but the number says.
  const limits = { groups: [{ blocks: 200, window: undefined }], states: 8, stepTokens: 600 };

  it('begin as zeros, and each running sequence has a place of its own', () => {
    const s = scheduler(limits);
    const all = [sequence(5), sequence(6), sequence(7)];
    for (const one of all) s.add(one);
    s.plan();
    const places = all.map(({ held }) => held!.place!);
    expect(new Set([0, ...places]).size).toBe(4);
    expect(s.takeCopies()).toEqual(places.map((to) => ({ from: 0, to })));
    expect(s.takeCopies()).toEqual([]);
  });

  it('are kept at the end of what of a prompt can be shared, and every 1,024 tokens', () => {
    const s = scheduler({ ...limits, groups: [{ blocks: 1000, window: undefined }], stepTokens: 4000 });
    const one = sequence(2310);
    s.add(one);
    const stops: number[] = [];
    const copies: number[] = [];
    for (let i = 0; i < 4; i++) {
      const parts = s.plan();
      stops.push(parts[0]!.from + parts[0]!.count);
      copies.push(...s.commit(parts).map(({ from }) => from));
    }
    expect(stops).toEqual([1024, 2048, 2308, 2310]);
    expect(copies).toEqual([1, 2, 3].map(() => one.held!.place!));
  });

  it('are taken over by prompts with the same beginning', () => {
    const s = scheduler(limits);
    const prompt = Array.from({ length: 30 }, (_, i) => i);
    s.add(sequence(prompt));
    const made = [...s.commit(s.plan()), ...s.commit(s.plan())];
    expect(made).toHaveLength(1);
    s.takeCopies();
    const again = sequence([...prompt, 50, 51, 52]);
    const shorter = sequence(prompt.slice(0, 20));
    for (const one of [again, shorter]) s.add(one);
    s.plan();
    // There is no snapshot inside the first prompt, so that what shares less of it begins at zero.
    expect([again, shorter].map(({ cached }) => cached)).toEqual([28, 0]);
    expect(s.takeCopies()).toEqual([
      { from: made[0]!.to, to: again.held!.place },
      { from: 0, to: shorter.held!.place },
    ]);
  });

  it('limit how many run; snapshots give way to sequences, and places that are given back are used again', () => {
    const s = scheduler({ ...limits, states: 3, maxBatch: 4 });
    for (let i = 0; i < 5; i++) s.add(sequence(30, { client: String(i) }));
    step(s, []);
    expect(s.running.length).toBe(2);
    run(s);
    expect(s.running.length).toBe(0);
  });
});
