// The engine on the model in the repository: what it takes out at once, what fails alone, and what each row is sampled by.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { cudaInfo } from '../../lib/core/device.js';
import { Engine, type EngineOptions, type EngineToken } from '../../lib/engine/engine.js';
import { QueueFull } from '../../lib/flow/quota.js';
import { Adapter } from '../../lib/lora/adapter.js';
import { loadModel, Model } from '../../lib/model.js';
import type { TokenMask } from '../../lib/text/mask.js';
import { isEmulated, testDevice } from '../device.js';
import { argmax } from '../shared.js';
import { until } from '../until.js';
import { type Asked, folder, long, produced, prompt, request } from './asking.js';
import { normal } from './numbers.js';

let model: Model;
let engine: Engine;
beforeAll(async () => {
  model = await loadModel(folder, { dtype: 'f32' });
});
afterAll(() => model.dispose());

function start(options: EngineOptions = {}): void {
  engine = new Engine(model.decoder, options);
}
beforeEach(() => start());
afterEach(() => engine.dispose());

async function all(options: Asked = {}): Promise<EngineToken[]> {
  const out: EngineToken[] = [];
  for await (const token of engine.submit(request(model, options))) out.push(token);
  return out;
}
const ids = (tokens: EngineToken[]): number[] => tokens.map(({ token }) => token);

/** On the CPU the same to the last bit; a GPU takes other kernels for other batches, which round otherwise. */
function expectSame(got: readonly EngineToken[], want: readonly EngineToken[]): void {
  const near = (x: number | undefined) => (x === undefined ? x : testDevice === 'cpu' ? x : expect.closeTo(x, 3));
  const top = (list: EngineToken['top']) => list?.map(({ token, logprob }) => ({ token, logprob: near(logprob) }));
  expect(got).toEqual(want.map((one) => ({ ...one, logprob: near(one.logprob), top: top(one.top) })));
}

describe('a device that is quicker than JavaScript', () => {
  it('leaves the event loop a turn between any two tokens of a request', async () => {
    let turn = 0;
    let counting = true;
    const count = (): void => {
      turn++;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    const turns: number[] = [];
    for await (const _ of engine.submit(request(model, { maxNewTokens: long }))) turns.push(turn);
    counting = false;
    expect(turns).toHaveLength(long);
    expect(new Set(turns).size).toBe(long);
  });
});

describe('a request that ends early', () => {
  it('by its signal has no blocks left in the same turn, and the others go on', async () => {
    const stop = new AbortController();
    const other = all({ maxNewTokens: long });
    const alone = await all({ maxNewTokens: long });
    const stream = engine.submit(request(model, { maxNewTokens: 400, signal: stop.signal }));
    await stream.next();
    await other;
    expect(engine.stats()).toMatchObject({ running: 1, waiting: 0 });
    stop.abort(new Error('gone'));
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, blocksUsed: 0 });
    await expect(
      (async () => {
        for await (const _ of stream);
      })(),
    ).rejects.toThrow('gone');
    expect(ids(await other)).toEqual(ids(alone));
  });

  it('by being left, even while a read waits, has no blocks left', async () => {
    const stream = engine.submit(request(model, { maxNewTokens: 400 }));
    await stream.next();
    const waiting = Promise.all([stream.next(), stream.next()]);
    const left = stream.return();
    expect(engine.stats()).toMatchObject({ running: 0, blocksUsed: 0 });
    expect(await left).toEqual({ value: 'stop', done: true });
    expect((await waiting).at(-1)!.done).toBe(true);
    for await (const _ of engine.submit(request(model, { maxNewTokens: 400 }))) break;
    expect(engine.stats()).toMatchObject({ running: 0, blocksUsed: 0 });
  });

  it('before its turn never runs', async () => {
    await expect(all({ signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early');
    start({ maxBatch: 1 });
    const stop = new AbortController();
    const first = all({ maxNewTokens: long });
    const second = all({ signal: stop.signal });
    stop.abort();
    await expect(second).rejects.toThrow(/abort/);
    expect(await first).toHaveLength(long);
  });

  it('by dispose is told so', async () => {
    const told = expect(all({ maxNewTokens: 400 })).rejects.toThrow('generate: the model was disposed of');
    await until(() => engine.stats().running > 0);
    await engine.dispose();
    await told;
    expect(() => engine.submit(request(model))).toThrow('disposed of');
  });
});

describe('a request that fails', () => {
  const broken = (at: number): TokenMask => {
    let count = 0;
    return {
      allowed: () => {
        if (count === at) throw new Error('the mask broke');
        return new Uint8Array(1024).fill(1);
      },
      accept: () => void count++,
      done: false,
    };
  };

  it('by its mask fails alone', async () => {
    const expected = ids(await all());
    const others = [all(), all({ seed: 1 }), all()];
    await expect(all({ mask: broken(3) })).rejects.toThrow('the mask broke');
    const empty: TokenMask = { allowed: () => new Uint8Array(1024), accept: () => {}, done: false };
    await expect(all({ mask: empty })).rejects.toThrow('the mask allows no token');
    for (const other of others) expect(ids(await other)).toEqual(expected);
    expect(engine.stats().blocksUsed).toBe(0);
  });

  it('on the device fails alone, and the others give what they would have given', async () => {
    const options = { maxNewTokens: long };
    const expected = [ids(await all(options)), ids(await all({ ...options, temperature: 1, seed: 3 }))];
    using poison = Adapter.create(model.decoder, { r: 2 }, 1);
    for (const { b } of poison.pairs.values()) b.write(new Float32Array(b.size).fill(Number.NaN));
    const before = engine.stats().prefixQueries;
    const others = [all(options), all({ ...options, temperature: 1, seed: 3 })];
    const failing = [all({ adapter: poison }), all({ adapter: poison, prompt: prompt.slice(0, 9) })];
    for (const one of failing) await expect(one).rejects.toThrow(/no token can be chosen: the logits hold NaN/);
    expect((await Promise.all(others)).map(ids)).toEqual(expected);
    expect(engine.stats()).toMatchObject({ blocksUsed: 0, running: 0, waiting: 0 });
    // Nobody began anew.
    expect(engine.stats().prefixQueries - before).toBe(3 * prompt.length + 9);
    await model.decoder.device.idle();
  });

  it('because its adapter does not fit fails alone', async () => {
    start({ maxLoraRank: 4 });
    using large = Adapter.create(model.decoder, { r: 8 }, 1);
    const other = all();
    await expect(all({ adapter: large })).rejects.toThrow(
      "the adapter's rank is 8, more than the engine's maxLoraRank of 4",
    );
    expect(await other).toHaveLength(produced);
    const gone = Adapter.create(model.decoder, { r: 2 }, 1);
    gone.dispose();
    await expect(all({ adapter: gone })).rejects.toThrow('used after dispose()');
  });
});

describe('the queue', () => {
  it('refuses at once what is too much, and says when to come again', async () => {
    start({ maxBatch: 2, maxQueued: 3 });
    const runs = Array.from({ length: 5 }, () => all());
    const refusal = (() => {
      try {
        engine.submit(request(model));
      } catch (error) {
        return error as QueueFull;
      }
      return undefined;
    })();
    expect(refusal).toBeInstanceOf(QueueFull);
    expect(refusal!.retryAfterSeconds).toBeGreaterThanOrEqual(1);
    await Promise.all(runs);
    expect(await all()).toHaveLength(produced);
  });

  it('lets a client with one request pass one with many', async () => {
    start({ maxBatch: 1 });
    const order: string[] = [];
    const run = async (client: string): Promise<void> => {
      await all({ client, maxNewTokens: 4 });
      order.push(client);
    };
    await Promise.all([run('many'), run('many'), run('many'), run('one')]);
    expect(order).toEqual(['many', 'one', 'many', 'many']);
  });

  it('refuses what can never fit', () => {
    start({ cacheBytes: 66_000 * model.decoder.config.layers.length });
    const { capacity } = engine;
    expect(capacity).toBeLessThan(400);
    expect(() => engine.submit(request(model, { prompt: new Array<number>(capacity + 1).fill(5) }))).toThrow(
      `the prompt has ${capacity + 1} tokens, more than the engine's ${capacity}`,
    );
    expect(() => new Engine(model.decoder, { maxBatch: 0 })).toThrow(
      "engine: option 'maxBatch' must be a positive integer, got 0",
    );
    expect(() => new Engine(model.decoder, { batch: 1 } as object)).toThrow(
      "engine: option 'batch' is not known: did you mean 'maxBatch'?",
    );
  });
});

describe('a small cache', () => {
  it('sends sequences back, which then give the same tokens', async () => {
    // Each begins in one block; together they come to need more than there are.
    const [blocks, count, maxNewTokens] = isEmulated ? [5, 3, 10] : [12, 6, 90];
    const wanted = Array.from({ length: count }, (_, i) => ({
      prompt: prompt.slice(i, i + (isEmulated ? 28 : 20) + i),
      maxNewTokens,
      temperature: 1,
      seed: i,
      topLogprobs: 0,
    }));
    const expected: EngineToken[][] = [];
    for (const one of wanted) expected.push(await all(one));
    // Keys and values of two heads of 32 numbers for the 32 tokens of a block.
    start({ cacheBytes: blocks * model.decoder.config.layers.length * 2 * 2 * 32 * 32 * 4 });
    expect(engine.stats().blocksTotal).toBe(blocks);
    const got = await Promise.all(wanted.map((one) => all(one)));
    expect(engine.stats().preemptions).toBeGreaterThan(0);
    for (const [i, tokens] of got.entries()) expectSame(tokens, expected[i]!);
    expect(engine.stats().blocksUsed).toBe(0);
  });

  it('finds beginnings that it has seen, which change nothing', async () => {
    const first = await all({ topLogprobs: 2 });
    expect(engine.stats()).toMatchObject({ prefixHits: 0, prefixQueries: 50 });
    const stream = engine.submit(request(model, { topLogprobs: 2 }));
    const second: EngineToken[] = [];
    for await (const token of stream) second.push(token);
    expect(stream.cachedTokens).toBe(32);
    expectSame(second, first);
    expect(engine.stats()).toMatchObject({ prefixHits: 32, prefixQueries: 100 });
  });
});

describe('adapters', () => {
  it('beyond the slots take turns, and a changed one is not taken for the old one', async () => {
    start({ adapterSlots: 2 });
    const adapters = Array.from({ length: isEmulated ? 3 : 5 }, (_, i) => {
      const adapter = Adapter.create(model.decoder, { r: 4 + 4 * i, alpha: 32 }, i);
      for (const [n, { b }] of [...adapter.pairs.values()].entries()) b.write(normal(b.size, n + i, 0.05));
      return adapter;
    });
    const alone: number[][] = [];
    for (const adapter of adapters) alone.push(ids(await all({ adapter })));
    expect(new Set(alone.map(String)).size).toBe(adapters.length);
    const runs = adapters.map((adapter) => all({ adapter }));
    await Promise.resolve();
    expect((await Promise.all(runs)).map(ids)).toEqual(alone);
    const [first] = adapters;
    for (const { b } of first!.pairs.values()) b.write(new Float32Array(b.size));
    first!.version++;
    expect(ids(await all({ adapter: first! }))).toEqual(ids(await all()));
    for (const adapter of adapters) adapter.dispose();
  });
});

describe.runIf(testDevice !== 'cpu')('on a GPU', () => {
  it('a batch that only decodes is one graph a step', async () => {
    const launches = (): number => cudaInfo(model.decoder.device.index).graphLaunches;
    const before = launches();
    await Promise.all([all({ maxNewTokens: 12 }), all({ maxNewTokens: 12, seed: 1, temperature: 1 })]);
    // All but the first steps, which take the prompts in and then record.
    expect(launches() - before).toBeGreaterThanOrEqual(8);
  });
});

describe('rows', () => {
  it('are each sampled by their own options', async () => {
    const options = [
      { temperature: 0 },
      { temperature: 1, seed: 1 },
      { temperature: 1, seed: 2 },
      { temperature: 1.5, seed: 1, topK: 5 },
      { temperature: 1, seed: 4, topP: 0.5 },
      { temperature: 1.5, seed: 6, minP: 0.05 },
      { temperature: 0, repetitionPenalty: 1.3 },
      { temperature: 0, presencePenalty: -8, frequencyPenalty: -1 },
      { temperature: 0, logitBias: new Map([[99, 100]]) },
    ].map((one) => ({ ...one, maxNewTokens: produced }));
    const alone: number[][] = [];
    for (const one of options) alone.push(ids(await all(one)));
    expect((await Promise.all(options.map((one) => all(one)))).map(ids)).toEqual(alone);
    expect(new Set(alone.map(String)).size).toBe(options.length);
    expect(alone.at(-1)).toEqual(new Array<number>(produced).fill(99));
  });

  it('are penalised by what was produced, as OpenAI defines it', async () => {
    const [presencePenalty, frequencyPenalty] = [1.5, 0.7];
    const answer = ids(await all({ presencePenalty, frequencyPenalty }));
    const text = [...prompt];
    for (const token of answer) {
      using logits = model.forward(text);
      const row = Float32Array.from((await logits.data()).subarray((text.length - 1) * logits.dim(1)));
      const after = text.slice(prompt.length);
      for (const seen of new Set(after))
        row[seen]! -= presencePenalty + frequencyPenalty * after.filter((t) => t === seen).length;
      expect(token).toBe(argmax(row));
      text.push(token);
    }
  });

  it('have the log probabilities of the model, whatever changes the choice', async () => {
    const tokens = await all({ topLogprobs: 4, temperature: 1.3, seed: 5, logitBias: new Map([[7, 3]]) });
    const text = [...prompt];
    for (const { token, logprob, top } of tokens) {
      using logits = model.forward(text);
      const row = Float64Array.from((await logits.data()).subarray((text.length - 1) * logits.dim(1)));
      const most = Math.max(...row);
      const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0)) + most;
      expect(logprob).toBeCloseTo(row[token]! - total, 4);
      const order = [...row.keys()].sort((a, b) => row[b]! - row[a]!);
      expect(top!.map((t) => t.token)).toEqual(order.slice(0, 4));
      for (const { token: t, logprob: p } of top!) expect(p).toBeCloseTo(row[t]! - total, 4);
      text.push(token);
    }
    expect((await all({ topLogprobs: 0 }))[0]).toEqual({
      token: expect.any(Number),
      logprob: expect.any(Number),
      top: [],
    });
  });

  it('obey their masks, and end where a mask is done', async () => {
    const allowed = [[5, 6], [900], [17, 18, 19]];
    const accepted: number[] = [];
    const mask: TokenMask = {
      allowed: () => {
        const out = new Uint8Array(1000); // shorter than the vocabulary
        for (const token of allowed[accepted.length]!) out[token] = 1;
        return out;
      },
      accept: (token) => void accepted.push(token),
      get done() {
        return accepted.length === allowed.length;
      },
    };
    const others = [all(), all()];
    const tokens = ids(await all({ mask, temperature: 2, seed: 1 }));
    expect(tokens).toEqual(accepted);
    expect(tokens).toHaveLength(3);
    for (const [i, token] of tokens.entries()) expect(allowed[i]).toContain(token);
    await Promise.all(others);
  });

  it('end at an end token, which is not given out', async () => {
    const free = ids(await all());
    const end = free.findIndex((token, i) => i > 2 && !free.slice(0, i).includes(token));
    const stream = engine.submit(request(model, { endIds: [free[end]!] }));
    const got: number[] = [];
    for (;;) {
      const next = await stream.next();
      if (next.done) {
        expect(next.value).toBe('stop');
        break;
      }
      got.push(next.value.token);
    }
    expect(got).toEqual(free.slice(0, end));
  });

  it('go on after an end token where the caller ignores it', async () => {
    const free = ids(await all());
    const end = free.findIndex((token, i) => i > 2 && !free.slice(0, i).includes(token));
    const defaults = { ...model.defaults, endIds: [free[end]!] };
    const ending = new Model('', '', model.decoder, undefined, defaults);
    const options = { maxNewTokens: produced, temperature: 0 };
    expect((await ending.generate(prompt, options)).tokens).toEqual(free.slice(0, end));
    expect((await ending.generate(prompt, { ...options, ignoreEos: true })).tokens).toEqual(free);
    await ending.engine.dispose();
  });
});
