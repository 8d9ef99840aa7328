// The scheduler and what it counts with: admission, turns, preemption, prefixes and slots, all without a device.
import { describe, expect, it } from 'vitest';
import { BlockNames, BlockPool } from '../../lib/engine/blocks.js';
import { SlotTable } from '../../lib/engine/slots.js';
import { WaitingLines } from '../../lib/flow/waiting.js';
import { run, scheduler, sequence, step } from './numbered.js';

describe('steps', () => {
  it('mix single produced tokens with what is left of prompts', () => {
    const s = scheduler();
    const all = [sequence(3), sequence(30), sequence(5)];
    s.add(all[0]!);
    expect(step(s, all)).toEqual([[0, 0, 3]]);
    s.add(all[1]!);
    s.add(all[2]!);
    expect(step(s, all)).toEqual([
      [0, 3, 1],
      [2, 0, 5],
      [1, 0, 10],
    ]);
    expect(step(s, all)).toEqual([
      [0, 4, 1],
      [2, 5, 1],
      [1, 10, 14],
    ]);
    run(s);
  });

  it('never take a single token of a longer prompt', () => {
    for (let length = 2; length < 40; length++) {
      const s = scheduler({ stepTokens: 5 });
      const all = [sequence(length), sequence(length + 1), sequence(2)];
      for (const one of all) s.add(one);
      for (let i = 0; i < 100; i++) {
        for (const [which, from, count] of step(s, all)) {
          if (from! < all[which!]!.promptLength) expect(count).not.toBe(1);
        }
      }
      run(s);
    }
  });

  it('take whole texts of an encoder in the order of their admission, and one that is longer than a step alone', () => {
    const s = scheduler({ whole: true, groups: [], maxBatch: 5 });
    const all = [9, 40, 6, 10, 3, 2].map((length, i) => sequence(length, { chooses: false, client: String(i % 2) }));
    for (const one of all) s.add(one);
    const steps: number[][][] = [];
    for (let parts = step(s, all); parts.length > 0; parts = step(s, all)) steps.push(parts);
    const taken = steps.flat();
    expect(taken.map(([which]) => which).sort()).toEqual([0, 1, 2, 3, 4, 5]);
    for (const [which, from, count] of taken) expect([from, count]).toEqual([0, all[which!]!.promptLength]);
    for (const parts of steps)
      if (parts.length > 1) expect(parts.reduce((sum, part) => sum + part[2]!, 0)).toBeLessThanOrEqual(16);
    expect(steps.find((parts) => parts.some(([which]) => which === 1))).toEqual([[1, 0, 40]]);
    expect(steps.length).toBeLessThan(6);
    expect(s.running.length + s.waiting.length).toBe(0);
  });

  it("compute an encoder's text as a whole also after a step that failed", () => {
    const s = scheduler({ whole: true, groups: [] });
    const all = [sequence(30, { chooses: false }), sequence(5, { chooses: false })];
    for (const one of all) s.add(one);
    s.plan();
    s.restart();
    expect(step(s, all)).toEqual([[0, 0, 30]]);
    expect(step(s, all)).toEqual([[1, 0, 5]]);
  });

  it('leave no prompt behind a batch that is full but for it', () => {
    for (let length = 2; length < 20; length++) {
      const s = scheduler({ maxBatch: 4, stepTokens: 6 });
      const busy = Array.from({ length: 3 }, () => sequence(2, { produces: 40 }));
      for (const one of busy) s.add(one);
      while (busy.some(({ computed }) => computed < 2)) step(s, busy);
      const late = sequence(length, { produces: 40 });
      s.add(late);
      for (let i = 0; i < length; i++) step(s, busy);
      expect(late.computed, `of ${length}`).toBeGreaterThanOrEqual(length);
      run(s);
    }
  });

  it('can be planned ahead of the tokens, but not a sequence that waits for its own', () => {
    const s = scheduler({ blocks: 3 });
    const one = sequence(4, { produces: 8 });
    s.add(one);
    expect(s.plan()).toMatchObject([{ from: 0, count: 4, samples: true }]);
    expect(s.plan()).toMatchObject([{ from: 4, count: 1, samples: true }]);
    expect(one.length).toBe(6);
    expect(one.tokens).toHaveLength(4);
    s.restart();
    expect(s.plan()).toEqual([]);
    one.length = 4;
    expect(s.plan()).toMatchObject([{ from: 0, count: 4, samples: true }]);
  });
});

describe('admission', () => {
  it('takes the clients in turn, and each in its own order', () => {
    const s = scheduler({ maxBatch: 1 });
    const all = ['a', 'a', 'a', 'b', 'b', 'c'].map((client) => sequence(2, { client, produces: 1 }));
    for (const one of all) s.add(one);
    const order: number[] = [];
    for (let i = 0; i < all.length; i++) order.push(...step(s, all).map(([which]) => which!));
    expect(order).toEqual([0, 3, 5, 1, 4, 2]);
  });

  it('waits for blocks, and lets no more in than the batch holds', () => {
    const s = scheduler({ blocks: 4 });
    const all = [sequence(12, { produces: 2 }), sequence(9, { produces: 1 })];
    for (const one of all) s.add(one);
    expect(step(s, all)).toEqual([[0, 0, 12]]);
    expect(step(s, all)).toEqual([[0, 12, 1]]);
    expect(step(s, all)).toEqual([[1, 0, 9]]);
    const many = scheduler({ stepTokens: 100 });
    for (let i = 0; i < 6; i++) many.add(sequence(3));
    expect(many.plan()).toHaveLength(4);
  });

  it('waits for an adapter slot, and lets others pass', () => {
    const s = scheduler({ adapterSlots: 1 });
    const all = ['x', 'y', undefined, 'x'].map((adapterNow, i) =>
      sequence(2, { client: String(i), produces: 2, ...(adapterNow ? { adapterNow } : {}) }),
    );
    for (const one of all) s.add(one);
    expect(step(s, all).map(([which]) => which)).toEqual([0, 2, 3]);
    expect(step(s, all).map(([which]) => which)).toEqual([0, 2, 3]);
    expect(step(s, all).map(([which]) => which)).toEqual([1]);
  });

  it('has no place left for a removed sequence', () => {
    const s = scheduler();
    const [waiting, running] = [sequence(2), sequence(20)];
    s.add(running);
    s.plan();
    expect(s.memory.used).toBe(5);
    s.add(waiting);
    s.remove(waiting);
    s.remove(running);
    s.remove(running);
    expect(s.memory.used).toBe(0);
    expect(s.plan()).toEqual([]);
  });
});

describe('preemption', () => {
  it('sends the newest back, which computes all of its tokens again', () => {
    const s = scheduler({ blocks: 5, stepTokens: 32 });
    const all = [sequence(4, { produces: 14 }), sequence(4, { produces: 14 })];
    for (const one of all) s.add(one);
    const parts: number[][] = [];
    for (let i = 0; i < 40; i++) parts.push(...step(s, all));
    expect(s.preemptions).toBe(1);
    expect(all.map(({ length }) => length)).toEqual([18, 18]);
    // The older one was never interrupted.
    expect(parts.filter(([which]) => which === 0).map(([, from]) => from)).toEqual([
      0,
      ...Array.from({ length: 13 }, (_, i) => 4 + i),
    ]);
    const again = parts.filter(([which, , count]) => which === 1 && count! > 1);
    expect(again).toHaveLength(2);
    expect(again[1]![1]! + again[1]![2]!).toBeGreaterThan(8);
    expect(s.memory.used).toBe(0);
  });

  it('by restart runs all one by one until they are cleared', () => {
    const s = scheduler();
    const all = [sequence(3), sequence(4), sequence(5)];
    for (const one of all) s.add(one);
    step(s, all);
    step(s, all);
    s.restart();
    const order: number[] = [];
    for (const _ of all) {
      const parts = step(s, all);
      expect(parts).toHaveLength(1);
      order.push(parts[0]![0]!);
      s.trust(all[parts[0]![0]!]!);
    }
    expect(order).toEqual([0, 1, 2]);
    expect(step(s, all)).toHaveLength(3);
  });

  it('never loses a sequence, whatever comes', () => {
    for (let seed = 1; seed < 60; seed++) {
      let state = seed;
      const random = (below: number): number => {
        state = (state * 1103515245 + 12345) % 2 ** 31;
        return Math.floor((state / 2 ** 31) * below);
      };
      const s = scheduler({ blocks: 12, stepTokens: 6 + random(20), maxBatch: 1 + random(6) });
      const all = Array.from({ length: 20 }, (_, i) => {
        const chooses = random(5) > 0;
        const prompt = Array.from({ length: 1 + random(24) }, (_, n) => (n < 8 ? n : random(3)));
        const adapterNow = ['x', 'y', 'z', undefined][random(4)];
        return sequence(prompt, {
          client: String(i % 3),
          produces: 1 + random(20),
          chooses,
          ...(adapterNow ? { adapterNow } : {}),
        });
      });
      for (const one of all) {
        s.add(one);
        if (random(2)) step(s, all);
        const fate = random(9);
        if (fate === 0) s.remove(one);
        if (fate === 1 && s.all.includes(one)) s.park(one);
        expect(s.memory.used + s.memory.available).toBe(12);
      }
      while (step(s, all, random(8)).length > 0);
      for (const one of all) s.resume(one);
      run(s);
    }
  });
});

describe('prefixes', () => {
  const prompt = Array.from({ length: 14 }, (_, i) => i);

  it('are taken over by later sequences, up to all but two tokens', () => {
    const s = scheduler();
    s.add(sequence(prompt));
    run(s);
    const all = [sequence(prompt), sequence([...prompt.slice(0, 9), 99, 98, 97, 96]), sequence(prompt.slice(0, 8))];
    for (const one of all) s.add(one);
    expect(step(s, all)).toEqual([
      [0, 12, 2],
      [2, 4, 4],
      [1, 8, 5],
    ]);
    expect(all.map(({ cached }) => cached)).toEqual([12, 8, 4]);
    expect(s.prefixHits).toBe(24);
    expect(s.prefixQueries).toBe(14 + 14 + 13 + 8);
    run(s);
  });

  it('are shared while both run, and belong to one adapter', () => {
    const s = scheduler({ stepTokens: 64 });
    s.add(sequence(prompt));
    s.commit(s.plan());
    s.add(sequence(prompt));
    s.add(sequence(prompt, { adapterNow: 'x', client: 'x' }));
    s.plan();
    expect(s.prefixHits).toBe(12);
    expect(s.memory.used).toBe(4 + 1 + 4);
    run(s);
  });

  it('are only those of prompts', () => {
    const s = scheduler({ stepTokens: 64 });
    const one = sequence(prompt.slice(0, 6), { produces: 20 });
    s.add(one);
    run(s);
    s.add(sequence(one.tokens.slice(0, 22)));
    s.plan();
    expect(s.prefixHits).toBe(4);
  });
});

describe('BlockPool', () => {
  it('gives up what was left longest ago, and the end of a sequence before its beginning', () => {
    const pool = new BlockPool(4);
    const [first, second] = [
      [pool.take()!, pool.take()!],
      [pool.take()!, pool.take()!],
    ];
    const names = [new BlockNames([1, 2, 3, 4], 2, ''), new BlockNames([5, 6, 7, 8], 2, '')];
    [first, second].forEach((blocks, i) => {
      blocks!.forEach((block, n) => pool.name(block, names[i]!.at(n)));
    });
    expect(pool.take()).toBeUndefined();
    pool.free(second!);
    pool.free(first!);
    expect(pool.available).toBe(4);
    expect(pool.take()).toBe(second![1]);
    expect(pool.find(names[1]!, 0, 2)).toEqual([second![0]]);
    expect(pool.find(names[0]!, 0, 2)).toEqual(first);
    pool.share(second![0]!);
    expect(pool.take()).toBe(first![1]);
    expect(pool.find(names[0]!, 0, 2)).toEqual([first![0]]);
    expect(pool.unowned([first![0]!, second![0]!])).toBe(1);
    pool.forget();
    expect(pool.find(names[0]!, 0, 2)).toEqual([]);
    expect(pool.available).toBe(1);
  });

  it('names blocks by everything before them', () => {
    const names = new BlockNames([1, 2, 3, 4, 5], 2, 'x');
    expect(new BlockNames([1, 2, 3, 4], 2, 'x').at(1)).toEqual(names.at(1));
    expect(new BlockNames([9, 2, 3, 4], 2, 'x').at(1)).not.toBe(names.at(1));
    expect(new BlockNames([1, 2, 3, 4], 2, 'y').at(0)).not.toBe(names.at(0));
  });
});

describe('SlotTable', () => {
  it('keeps what is used, and gives up what was left longest ago', () => {
    const slots = new SlotTable<string>(2);
    expect([slots.take('a'), slots.take('b'), slots.take('a')]).toEqual([0, 1, 0]);
    expect(slots.take('c')).toBeUndefined();
    expect([slots.has('c'), slots.has('a')]).toEqual([false, true]);
    slots.leave('a');
    slots.leave('b');
    expect(slots.take('c')).toBe(1);
    expect(slots.slotOf('b')).toBeUndefined();
    slots.leave('a');
    expect(slots.take('b')).toBe(0);
  });
});

describe('WaitingLines', () => {
  it('puts one back at the head of its line, whose turn is next', () => {
    const lines = new WaitingLines<{ client: string; n: number }>();
    const [a1, a2, b1, b2] = ['a', 'a', 'b', 'b'].map((client, n) => ({ client, n }));
    for (const waiter of [a1!, a2!, b1!, b2!]) lines.push(waiter);
    expect([...lines.heads()]).toEqual([a1, b1]);
    lines.serve(a1!);
    expect([...lines.heads()]).toEqual([b1, a2]);
    lines.serve(b1!);
    lines.unshift(b1!);
    expect([...lines.heads()]).toEqual([b1, a2]);
    expect([...lines]).toEqual([b1, b2, a2]);
    expect(lines.delete(a1!)).toBe(false);
    expect(lines.length).toBe(3);
  });
});
