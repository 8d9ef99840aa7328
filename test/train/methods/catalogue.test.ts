// Every member of the catalogue of training methods answers alike, and the contract carries methods of other shapes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Adapter } from '../../../lib/lora/adapter.js';
import type { Decoder } from '../../../lib/models/decoder.js';
import { hyperparametersSchema, ownHyperparameters } from '../../../lib/server/jobs/hyperparameters.js';
import { autoLearningRate } from '../../../lib/train/auto.js';
import { encodeRow } from '../../../lib/train/data/rows.js';
import { evalName, meansOf } from '../../../lib/train/figures.js';
import { finetune } from '../../../lib/train/finetune.js';
import { train } from '../../../lib/train/loop.js';
import {
  allFigures,
  figuresOf,
  type MethodName,
  methodNames,
  methods,
  optionsOf,
} from '../../../lib/train/methods/index.js';
import type { Method, Objective, Totals } from '../../../lib/train/methods/method.js';
import { supervised } from '../../../lib/train/methods/supervised.js';
import { type FinetuneOptions, trainSettings } from '../../../lib/train/options.js';
import type { TrainStep } from '../../../lib/train/step.js';
import { smallDecoder, vocabSize } from '../small.js';

let decoder: Decoder;
beforeAll(() => {
  decoder = smallDecoder();
});
afterAll(() => decoder.dispose());

const folder = mkdtempSync(join(tmpdir(), 'helvetia-methods-'));
afterAll(() => rmSync(folder, { recursive: true }));

const encoding = { tokenizer: undefined, vocabSize, seqLength: 16 };

/** Rows of tokens for each method, and words that a refusal of `{}` must have. */
const tokens = { input_ids: [1, 2, 3, 4], labels: [-100, 2, 3, 4] };
const samples: { readonly [N in MethodName]: { row: object; refusal: RegExp } } = {
  supervised: { row: tokens, refusal: /must have 'messages'/ },
  dpo: { row: { chosen: tokens, rejected: { input_ids: [1, 5, 6] } }, refusal: /must have .*'chosen' and 'rejected'/ },
};

const optionsFor = (name: MethodName, more: object = {}): FinetuneOptions =>
  ({ method: name, data: [samples[name].row], steps: 2, lora: { r: 2 }, ...more }) as FinetuneOptions;

async function stepsOf(run: AsyncIterable<TrainStep>): Promise<TrainStep[]> {
  const out: TrainStep[] = [];
  for await (const step of run) out.push(step);
  return out;
}

const base = { contextLength: 64, hiddenSize: 32 };

describe.each(methodNames)('%s', (name) => {
  const method: Method = methods[name];
  const own = optionsOf(method);

  it('has its name, words and a learning rate', () => {
    expect(method.name).toBe(name);
    expect(method.title).not.toBe('');
    expect(method.rows.help.forms.length).toBeGreaterThan(0);
    expect(method.auto.learningRate).toBeGreaterThan(0);
    for (const [, { label, wire }] of figuresOf(method)) {
      expect(label).toMatch(/^[a-z][a-z ]+$/);
      expect(wire.name).toMatch(/^[a-z]+(_[a-z]+)*$/);
    }
  });

  it('has options whose defaults it takes, and refuses what they do not allow by their names', () => {
    const settings = trainSettings('finetune', optionsFor(name), base);
    expect(settings.method).toBe(method);
    expect(settings.learningRate).toBe(autoLearningRate(method.auto, base));
    expect(settings.methodOptions).toEqual(
      Object.fromEntries(own.map(([option, { default: value }]) => [option, value])),
    );
    for (const [option, { schema, default: value, help, wire }] of own) {
      expect(schema.safeParse(value).success, option).toBe(true);
      expect(help).toMatch(/^[a-z].*[^.]$/);
      if (wire) expect(wire.schema.safeParse(value).success, option).toBe(true);
      const wrong = () => trainSettings('finetune', optionsFor(name, { [option]: {} }), base);
      expect(wrong).toThrow(`finetune: option '${option}' must be ${schema.description}, got {}`);
      const other = methodNames.find((one) => optionsOf(methods[one]).every(([known]) => known !== option));
      if (other) {
        const misplaced = () => trainSettings('finetune', optionsFor(other, { [option]: value }), base);
        expect(misplaced).toThrow(`finetune: '${option}' needs method: '${name}'`);
      }
      const full = () => trainSettings('trainFull', { data: [], [option]: value } as never, base);
      expect(full).toThrow(`trainFull: option '${option}' is not known`);
    }
  });

  it('has hyperparameters that a job may leave to it', () => {
    for (const { name: field, schema, otherwise } of ownHyperparameters(name)) {
      expect(schema.safeParse('auto').success).toBe(true);
      expect(hyperparametersSchema.parse({ n_epochs: 3, [field]: otherwise })).toEqual({
        n_epochs: 3,
        [field]: otherwise,
      });
      expect(hyperparametersSchema.safeParse({ [field]: {} }).success).toBe(false);
    }
  });

  it('encodes its rows, and refuses others in one sentence that names the place', async () => {
    const { example, truncated } = await method.rows.encode(samples[name].row, 'x:1', encoding);
    expect(example.ids.length).toBe(example.labels.length);
    expect(truncated).toBe(false);
    await expect(method.rows.encode({}, 'x:1', encoding)).rejects.toThrow(samples[name].refusal);
    for (const row of [5, null, [], {}]) {
      await expect(method.rows.encode(row, 'x:1', encoding)).rejects.toThrow(/^x:1: [^\n]+$/);
    }
    const file = join(folder, `${name}.jsonl`);
    writeFileSync(file, `${JSON.stringify(samples[name].row)}\n{}\n`);
    await expect(stepsOf(finetune(decoder, undefined, optionsFor(name, { data: file })))).rejects.toThrow(
      `${file}:2: `,
    );
  });

  it('reports the figures that it names, of a step and of an evaluation, and no other', async () => {
    const data = [samples[name].row, samples[name].row];
    const steps = await stepsOf(
      finetune(decoder, undefined, optionsFor(name, { data, evalData: data, evalEvery: 1, tokenAccuracy: true })),
    );
    expect(steps).toHaveLength(2);
    const names = figuresOf(method).map(([figure]) => figure);
    for (const step of steps) {
      const present = new Set(Object.keys(step));
      for (const figure of allFigures.keys()) {
        expect([figure, present.has(figure)]).toEqual([figure, names.includes(figure)]);
        expect([figure, present.has(evalName(figure))]).toEqual([figure, names.includes(figure)]);
      }
      for (const value of Object.values(step)) expect(Number.isFinite(value)).toBe(true);
    }
  });

  it('resumes with the same options, and not with others or with another method', async () => {
    const checkpointDir = join(folder, name);
    await stepsOf(finetune(decoder, undefined, optionsFor(name, { checkpointDir })));
    const again = (more: object) =>
      stepsOf(finetune(decoder, undefined, { ...optionsFor(name, { checkpointDir, resume: true }), ...more }));
    await again({});
    for (const [option, { default: value }] of own.filter(([, { default: value }]) => typeof value === 'number')) {
      const changed = again({ [option]: (value as number) * 2 });
      await expect(changed).rejects.toThrow(`was made with ${option} ${value}, this run has ${(value as number) * 2}`);
    }
    const other = methodNames.find((one) => one !== name)!;
    const learningRate = autoLearningRate(method.auto, decoder.config);
    await expect(again({ method: other, data: [samples[other].row], learningRate })).rejects.toThrow(
      /was made with method/,
    );
  });
});

describe('the contract', () => {
  /** Unpaired labels, a figure of a part of the rows, what a step learns made of the rows first, and something to free. */
  interface Unpaired {
    name: 'unpaired';
    options: { strength: number };
    figures: { wanted: number };
    row: object;
  }
  const seen = { seeds: new Set<number>(), disposed: 0, marks: new Set<number | undefined>() };

  const unpaired: Method<Unpaired> = {
    ...supervised,
    name: 'unpaired',
    options: { strength: { default: 1, schema: z.number().describe('a number'), help: 'strength' } },
    figures: { wanted: { label: 'wanted', wire: { name: 'wanted' } } },
    rows: {
      ...supervised.rows,
      encode: async (row, where, options) => {
        const encoded = await encodeRow(row, where, options);
        return { ...encoded, example: { ...encoded.example, mark: (row as { wanted: boolean }).wanted ? 1 : 2 } };
      },
    },
    resumeKey: ({ strength }) => ({ method: 'unpaired', strength }),
    objective: (context, { strength }): Objective<Unpaired> => {
      const inner = supervised.objective(context, {});
      return {
        prepare: async (batch, seed) => {
          seen.seeds.add(seed);
          for (const { mark } of batch) seen.marks.add(mark);
          const made = batch.map((example) => ({ ...example, ids: example.ids.map((id) => (id + 1) % vocabSize) }));
          const prepared = await inner.prepare(made, seed);
          const wanted = batch.filter(({ mark }) => mark === 1);
          const add = ({ loss }: Totals): Totals<Unpaired> =>
            wanted.length === 0 ? { loss } : { loss, wanted: { sum: strength * wanted.length, count: wanted.length } };
          return {
            ...prepared,
            learn: async (share) => {
              const { totals } = await prepared.learn(share);
              return { totals: totals.then(add) };
            },
            measure: async () => add(await prepared.measure()),
          };
        },
        dispose: () => {
          seen.disposed++;
        },
      };
    },
  };

  it('carries a method that the catalogue does not have', async () => {
    using adapter = Adapter.create(decoder, { r: 2 }, 0);
    const data = [true, false, false, false].map((wanted) => ({ ...tokens, wanted }));
    const given: FinetuneOptions = { data, evalData: data, evalEvery: 4, batchSize: 1, epochs: 1, shuffle: false };
    const settings = {
      ...trainSettings('finetune', given, base),
      method: unpaired as Method,
      methodOptions: { strength: 3 },
    };
    const parameters = new Map(adapter.parameters().map((x, i) => [`${i}`, x] as const));
    const trainee = {
      decoder,
      adapter,
      reference: undefined,
      parameters,
      weightsFile: '',
      texts: {},
      base: '',
      options: {},
    };
    const steps = await stepsOf(train(trainee, undefined, settings, new AbortController().signal));
    const figures = steps.map((step) => ({ ...step }) as Record<string, unknown>);
    expect(figures.map(({ wanted }) => wanted)).toEqual([3, undefined, undefined, undefined]);
    expect(figures[3]!.evalWanted).toBe(3);
    expect([...seen.marks]).toEqual([1, 2]);
    expect(seen.seeds.size).toBe(5);
    expect(seen.disposed).toBe(1);
  });

  it('takes means over all parts, each over its own count', () => {
    const parts = [
      { loss: { sum: 2, count: 1 }, wanted: { sum: 5, count: 2 } },
      { loss: { sum: 1, count: 2 }, unwanted: { sum: 0, count: 0 } },
      { loss: { sum: 0, count: 1 }, wanted: { sum: 4, count: 1 } },
    ];
    expect(meansOf(parts)).toEqual({ loss: 0.75, wanted: 3 });
  });
});
