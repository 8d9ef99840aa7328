// Data sets, packing, shuffling and the place in the data.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { TimeSlice } from '../../../lib/flow/pause.js';
import { Batches, stepsInEpoch, targetsOf } from '../../../lib/train/data/batches.js';
import { DataReport, LoadedSource, StreamedSource, shuffled } from '../../../lib/train/data/dataset.js';
import type { Example, Row } from '../../../lib/train/data/rows.js';
import { processed } from '../../processor-time.js';

const never = new AbortController().signal;
const options = { tokenizer: undefined, vocabSize: 1000, seqLength: 50 };
const row = (length: number, id: number): Row => ({ input_ids: Array.from({ length }, () => id) });
const load = (rows: Iterable<Row> | AsyncIterable<Row>, seed?: number) =>
  LoadedSource.load(rows, options, new DataReport(), never, seed);
const lengths = (steps: Example[][][]) => steps.map((step) => step.map((batch) => batch.map(({ ids }) => ids.length)));
const names = (steps: Example[][][]) => steps.flat(2).map(({ ids }) => ids[0]);

async function take(batches: Batches, steps: number, accumulation = 1): Promise<Example[][][]> {
  const out: Example[][][] = [];
  for (let i = 0; i < steps; i++) out.push(await batches.step(accumulation));
  return out;
}

describe('Batches', () => {
  const rows = [4, 5, 6, 7, 3, 2, 9].map((length, i) => row(length, i));

  it('packs whole rows up to a budget, in order', async () => {
    const batches = new Batches(await load(rows), { batchTokens: 10 });
    expect(lengths(await take(batches, 5))).toEqual([[[4, 5]], [[6]], [[7, 3]], [[2]], [[9]]]);
    expect(batches.position).toEqual({ epoch: 0, row: 7 });
    expect(lengths(await take(batches, 1))).toEqual([[[4, 5]]]);
    expect(batches.position).toEqual({ epoch: 1, row: 2 });
  });

  it('gives a row longer than the budget a batch of its own', async () => {
    expect(
      lengths(await take(new Batches(await load([row(3, 0), row(20, 1), row(3, 2)]), { batchTokens: 10 }), 3)),
    ).toEqual([[[3]], [[20]], [[3]]]);
  });

  it('counts rows instead', async () => {
    expect(lengths(await take(new Batches(await load(rows), { batchSize: 3 }), 3))).toEqual([
      [[4, 5, 6]],
      [[7, 3, 2]],
      [[9]],
    ]);
  });

  it('accumulates micro-batches, but never beyond an epoch', async () => {
    const batches = new Batches(await load(rows), { batchSize: 2 });
    expect(lengths(await take(batches, 4, 3))).toEqual([
      [
        [4, 5],
        [6, 7],
        [3, 2],
      ],
      [[9]],
      [
        [4, 5],
        [6, 7],
        [3, 2],
      ],
      [[9]],
    ]);
  });

  it('goes on from any position exactly', async () => {
    for (const size of [{ batchTokens: 11 }, { batchSize: 2 }]) {
      const whole = await take(new Batches(await load(rows, 5), size), 12, 2);
      const first = new Batches(await load(rows, 5), size);
      for (let done = 0; done < 12; done++) {
        const second = new Batches(await load(rows, 5), size, JSON.parse(JSON.stringify(first.position)));
        expect(names(await take(second, 12 - done, 2))).toEqual(names(whole.slice(done)));
        await first.step(2);
      }
    }
  });

  it('counts the steps of an epoch as they will be', async () => {
    for (const size of [{ batchTokens: 10 }, { batchSize: 2 }, { batchTokens: 1 }]) {
      for (const accumulation of [1, 2, 3]) {
        for (const epoch of [0, 1]) {
          const source = await load(rows, 3);
          const counted = await stepsInEpoch(source, size, accumulation, epoch, new TimeSlice());
          const batches = new Batches(source, size, { epoch, row: 0 });
          for (let i = 0; i < counted; i++) await batches.step(accumulation);
          // The epoch's end is either before or behind the step that finds it.
          const { position } = batches;
          expect((position.epoch - epoch) * rows.length + position.row).toBe(rows.length);
        }
      }
    }
  });
});

describe('shuffling', () => {
  it('is a permutation that follows from seed and epoch', async () => {
    const order = async (seed: number, epoch: number) => [...(await shuffled(500, seed, epoch))];
    const sorted = Array.from({ length: 500 }, (_, i) => i);
    const one = await order(1, 0);
    expect(one.toSorted((a, b) => a - b)).toEqual(sorted);
    expect(one).toEqual(await order(1, 0));
    expect(one).not.toEqual(await order(1, 1));
    expect(one).not.toEqual(await order(2, 0));
  });

  it('puts every row everywhere about equally often', async () => {
    const counts = Array.from({ length: 8 }, () => new Array<number>(8).fill(0));
    const trials = 4000;
    for (let seed = 0; seed < trials; seed++) {
      (await shuffled(8, seed, 0)).forEach((item, place) => {
        counts[item]![place]! += 1;
      });
    }
    // Chi-squared with 49 degrees of freedom: above 85 once in a thousand.
    const expected = trials / 8;
    const chi = counts.flat().reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(chi).toBeLessThan(85);
  });

  it('takes the rows in another order each epoch, all of them', async () => {
    const source = await load(
      Array.from({ length: 20 }, (_, i) => row(2, i)),
      7,
    );
    const batches = new Batches(source, { batchSize: 20 });
    const [first, second] = [names(await take(batches, 1)), names(await take(batches, 1))];
    expect(new Set(first).size).toBe(20);
    expect(new Set(second).size).toBe(20);
    expect(first).not.toEqual(second);
  });
});

describe('targetsOf', () => {
  it('shifts labels within each sequence and masks its end', () => {
    const example = (ids: number[], labels: number[]): Example => ({
      ids: Int32Array.from(ids),
      labels: Int32Array.from(labels),
    });
    const { targets, count, tokens } = targetsOf([
      example([1, 2, 3], [1, 2, 3]),
      example([4], [4]),
      example([5, 6, 7], [-100, -100, 7]),
    ]);
    expect([...targets]).toEqual([2, 3, -1, -1, -1, 7, -1]);
    expect(count).toBe(3);
    expect(tokens).toBe(7);
  });
});

describe('data', () => {
  it('counts rows that are cut or have nothing to learn', async () => {
    const report = new DataReport();
    const rows: Row[] = [row(60, 1), row(5, 2), row(1, 3), { input_ids: [1, 2], labels: [-100, -100] }];
    const source = await LoadedSource.load(rows, options, report, never, undefined);
    expect(source.size).toBe(2);
    expect(source.examples.at(0)!.ids).toHaveLength(50);
    expect(report.warnings('x.jsonl', 50)).toEqual([
      'x.jsonl: 1 of 4 rows were cut to seqLength, 50 tokens (row 0)',
      'x.jsonl: 2 of 4 rows were left out, as they have nothing to learn (row 2, row 3)',
    ]);
  });

  it('takes the pieces of a row at its place, and names a row that is left out', async () => {
    const example = (...ids: number[]): Example => ({ ids: Int32Array.from(ids), labels: Int32Array.from(ids) });
    const encode = async (row: unknown) =>
      row === 'bad'
        ? { example: example(), truncated: false, warning: 'no template' }
        : { example: example(1, 2), others: [example(9), example(3, 4, 5)], truncated: false };
    const report = new DataReport();
    const source = await LoadedSource.load(['bad', 'good'], { ...options, encode }, report, never, undefined);
    expect([0, 1, 2].map((i) => source.examples.at(i)?.ids.length)).toEqual([2, 3, undefined]);
    expect(report.warnings('x.jsonl', 50)).toEqual([
      'x.jsonl: 1 of 2 rows were left out, as they have nothing to learn (row 0)',
      'x.jsonl: 1 of 2 rows: no template (row 0)',
    ]);
    await expect(LoadedSource.load(['bad'], { ...options, encode }, new DataReport(), never, 1)).rejects.toThrow(
      'data: none of the 1 rows has anything to learn (row 0: no template)',
    );
  });

  it('makes few warnings of many kinds of faults', () => {
    const report = new DataReport();
    const none = { ids: new Int32Array(0), labels: new Int32Array(0) };
    for (let n = 0; n < 1000; n++) report.add({ example: none, truncated: false, warning: `fault ${n}` }, `row ${n}`);
    const warnings = report.warnings('x.jsonl', 50);
    expect(warnings).toHaveLength(21);
    expect(warnings.at(-1)).toMatch(/98\d of 1000 rows: left out for further reasons/);
  });

  it('takes little more memory than its tokens', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const used = () => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const count = 200_000;
    const rows = function* (): Generator<Row> {
      for (let i = 0; i < count; i++) yield { input_ids: [i % 90, (i + 1) % 90, 5] };
    };
    const before = used();
    const source = await LoadedSource.load(rows(), options, new DataReport(), never, undefined);
    expect((used() - before) / count).toBeLessThan(100);
    expect([...(await source.at(0, 123_456))!.ids]).toEqual([123_456 % 90, 123_457 % 90, 5]);
    expect(await source.at(0, count)).toBeUndefined();
  });

  it('refuses data with nothing in it', async () => {
    await expect(load([])).rejects.toThrow('data: there are no rows');
    await expect(load([row(1, 0)])).rejects.toThrow('data: none of the 1 rows has anything to learn');
    await expect(load([row(2, 0), { text: 5 } as never])).rejects.toThrow(/^data row 1: /);
  });

  it('tells data sets apart', async () => {
    const print = async (rows: Row[]) => (await load(rows)).fingerprint;
    expect(await print([row(3, 1)])).toBe(await print([row(3, 1)]));
    expect(await print([row(3, 1)])).not.toBe(await print([row(3, 2)]));
  });

  it('streams endless rows in order, and resumes in the middle', async () => {
    let read = 0;
    const endless = {
      async *[Symbol.asyncIterator](): AsyncGenerator<Row> {
        for (let i = 0; ; i++) {
          read++;
          yield row(1 + (i % 4), i % 1000);
        }
      },
    };
    const open = () => new StreamedSource(endless, options, new DataReport(), never);
    const whole = await take(new Batches(open(), { batchTokens: 9 }), 10);
    expect(read).toBeLessThan(60);
    const batches = new Batches(open(), { batchTokens: 9 });
    await take(batches, 6);
    const resumed = new Batches(open(), { batchTokens: 9 }, batches.position);
    expect(names(await take(resumed, 4))).toEqual(names(whole.slice(6)));
  });

  it('repeats a stream that can be read again, and says so where it can not', async () => {
    const rows = [row(2, 1), row(2, 2), row(2, 3)];
    const again = new Batches(new StreamedSource(new Set(rows), options, new DataReport(), never), { batchSize: 2 });
    expect(names(await take(again, 4))).toEqual([1, 2, 3, 1, 2, 3]);
    const once = new Batches(new StreamedSource(rows.values(), options, new DataReport(), never), { batchSize: 2 });
    await expect(take(once, 3)).rejects.toThrow("data: ended before the last step, and can't be read again");
  });

  it('lets the event loop run while it reads', async () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => row(200, i % 1000));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const began = processed();
    await LoadedSource.load(rows, { ...options, seqLength: 200 }, new DataReport(), never, 1);
    const took = processed() - began;
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(took / 40);
  });

  it('stops at an abort', async () => {
    const controller = new AbortController();
    const rows = function* (): Generator<Row> {
      for (let i = 0; ; i++) {
        if (i === 100) controller.abort();
        yield row(3, 1);
      }
    };
    await expect(LoadedSource.load(rows(), options, new DataReport(), controller.signal, 1)).rejects.toThrow(/abort/i);
  });
});
