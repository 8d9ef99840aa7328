// Who goes first: nobody waits for ever, no client takes all, and a burst costs little to plan.
import * as crypto from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import type { Sequence } from '../../lib/engine/sequence.js';
import { StepTimes } from '../../lib/engine/step-times.js';
import { Quota } from '../../lib/flow/quota.js';
import { run, scheduler, sequence, step } from './numbered.js';

vi.mock('node:crypto', async (load) => {
  const real = await load<typeof crypto>();
  return { ...real, createHash: vi.fn(real.createHash) };
});

describe('nobody waits for ever', () => {
  it('for blocks, although smaller requests keep coming', () => {
    const s = scheduler({ blocks: 16, maxBatch: 8, stepTokens: 64 });
    const small = (i: number) => s.add(sequence(6, { client: `small ${i % 3}`, produces: 8 }));
    for (let i = 0; i < 6; i++) small(i);
    step(s, []);
    const large = sequence(56, { client: 'large' });
    s.add(large);
    let steps = 0;
    while (!s.running.includes(large)) {
      expect(++steps).toBeLessThan(100);
      while (s.waiting.length < 6) small(steps);
      step(s, []);
    }
    while (s.waiting.length + s.running.length > 0) step(s, []);
  });

  it('for an adapter’s slot, although those of another adapter keep coming', () => {
    const s = scheduler({ adapterSlots: 1, stepTokens: 64 });
    const hot = (i: number) => s.add(sequence(2, { client: `hot ${i % 3}`, produces: 3, adapterNow: 'hot' }));
    for (let i = 0; i < 6; i++) hot(i);
    step(s, []);
    const cold = sequence(2, { client: 'cold', adapterNow: 'cold' });
    s.add(cold);
    let steps = 0;
    while (!s.running.includes(cold)) {
      expect(++steps).toBeLessThan(100);
      while (s.waiting.length < 6) hot(steps);
      step(s, []);
    }
  });
});

describe('clients', () => {
  it('share the prompts’ part of a step', () => {
    const s = scheduler({ maxBatch: 8, stepTokens: 40 });
    const all = [...['a', 'a', 'a', 'b'].map((client) => sequence(40, { client }))];
    for (const one of all) s.add(one);
    const taken = { a: 0, b: 0 };
    for (const [which, , count] of step(s, all)) taken[all[which!]!.client as 'a' | 'b'] += count!;
    expect(taken).toEqual({ a: 20, b: 20 });
  });

  it('with nothing in a full batch take a place from the one with most', () => {
    const s = scheduler({ stepTokens: 64 });
    const many = Array.from({ length: 6 }, () => sequence(4, { client: 'many', produces: 20 }));
    for (const one of many) s.add(one);
    step(s, many);
    expect(s.running).toEqual(many.slice(0, 4));
    const [b, c, d, e] = ['b', 'c', 'd', 'e'].map((client) => sequence(4, { client, produces: 8 }));
    s.add(b!);
    step(s, many);
    expect(s.running).toEqual([...many.slice(0, 3), b]);
    expect(s.preemptions).toBe(1);
    for (const one of [c!, d!, e!]) s.add(one);
    step(s, many);
    expect(s.running).toEqual([many[0], b, c, d]); // one each: e waits
    run(s);
    expect(many.map(({ length }) => length)).toEqual(many.map(({ most }) => most));
  });

  it('may fill the queue, which still takes others', () => {
    const quota = new Quota({ requests: 10, tokens: 1000 });
    while (!quota.refuses('many', 1)) quota.take('many', 1);
    for (let i = 0; i < 5; i++) {
      expect(quota.refuses('few', 1)).toBe(false);
      quota.take('few', 1);
    }
    expect([quota.refuses('few', 1), quota.refuses('many', 1), quota.refuses('new', 1)]).toEqual([true, true, false]);
    let clients = 0;
    while (!quota.refuses(String(clients), 1)) quota.take(String(clients++), 1);
    expect(clients).toBeLessThanOrEqual(20);
    for (let i = 0; i < 10; i++) quota.give('many', 1);
    expect(quota.refuses('many', 1)).toBe(false);
  });

  it('may fill the queue with tokens, which are counted too', () => {
    const quota = new Quota({ requests: 10, tokens: 1000 });
    expect(quota.refuses('a', 5000)).toBe(false); // alone, anything goes
    quota.take('a', 900);
    expect([quota.refuses('a', 200), quota.refuses('b', 200), quota.refuses('b', 600)]).toEqual([true, false, true]);
  });
});

describe('planning', () => {
  it('hashes a prompt once, and only as far as the cache knows it', () => {
    const hashes = vi.mocked(crypto.createHash);
    const s = scheduler({ blocks: 40, blockSize: 4, stepTokens: 16 });
    const shared = Array.from({ length: 80 }, (_, i) => i);
    s.add(sequence(shared, { client: 'first', produces: 40 }));
    s.add(sequence(70, { client: 'second', produces: 1 }));
    step(s, []);
    const waiting = Array.from({ length: 500 }, (_, i) => sequence(64, { client: String(i) }));
    for (const one of waiting) s.add(one);
    hashes.mockClear();
    step(s, []);
    expect(hashes.mock.calls.length).toBeLessThan(30);
    hashes.mockClear();
    step(s, []);
    expect(hashes.mock.calls.length).toBeLessThan(20);
  });

  it('leaves produced tokens room: fewer of a prompt come beside them, and all where nothing decodes', () => {
    const s = scheduler({ stepTokens: 64 });
    const all: Sequence[] = [sequence(3, { produces: 9 }), sequence(60)];
    s.add(all[0]!);
    expect(step(s, all, 8)).toEqual([[0, 0, 3]]);
    s.add(all[1]!);
    expect(step(s, all, 8)).toEqual([
      [0, 3, 1],
      [1, 0, 8],
    ]);
    s.remove(all[0]!);
    expect(step(s, all, 8)).toEqual([[1, 8, 52]]);
  });

  it('knows from what steps took how many those are', () => {
    const times = new StepTimes();
    const part = (count: number, from = 0) => [{ sequence: sequence(300), from, count, samples: true }];
    times.note(part(256), 512); // 2 ms a token
    times.note(part(1, 300), 20);
    expect(times.besideDecoding).toBe(20);
    for (let i = 0; i < 40; i++) times.note(part(1, 300), 200);
    expect(times.besideDecoding).toBeGreaterThan(190);
    for (let i = 0; i < 40; i++) times.note(part(1, 300), 0.1);
    expect(times.besideDecoding).toBe(16);
  });
});
