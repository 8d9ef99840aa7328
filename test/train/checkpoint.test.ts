// Checkpoints: what is written comes back, and broken or foreign ones are told apart.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import {
  listCheckpoints,
  openCheckpoints,
  type RunState,
  resumeCheckpoint,
  saveCheckpoint,
} from '../../lib/train/checkpoint.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-checkpoint-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const run = { base: 'llama 2x8 abc', data: 'd1', options: { learningRate: 0.1, betas: [0.9, 0.99] } };
const state = (step: number): RunState => ({ step, steps: 100, position: { epoch: 1, row: step * 2 }, ...run });
// Values that a careless round trip would change.
const numbers = (step: number) => Float32Array.of(step, 0.1, -0, 1e-42, 3.4028234e38, 1 / 3);
const tensors = (values: Float32Array) => {
  const make = (): Tensor => tensor(values.slice(), { shape: [2, 3] });
  return {
    weightsFile: 'adapter_model.safetensors',
    weights: new Map([['w', make()]]),
    optimizer: new Map([
      ['moment.w', make()],
      ['variance.w', make()],
    ]),
    texts: { 'adapter_config.json': '{}' },
  };
};
const save = (step: number) => saveCheckpoint(folder, state(step), tensors(numbers(step)));

async function resume(expected: Partial<typeof run> = {}) {
  const into = tensors(new Float32Array(6));
  const warnings: string[] = [];
  const found = await resumeCheckpoint(folder, { ...run, ...expected }, into, (warning) => warnings.push(warning));
  const values = await Promise.all([...into.weights.values(), ...into.optimizer.values()].map((x) => x.data()));
  return { found, values, warnings };
}

describe('checkpoints', () => {
  it('give everything back to the last bit', async () => {
    await save(3);
    const { found, values, warnings } = await resume();
    expect(found).toMatchObject(state(3));
    for (const value of values) expect(new Uint32Array(value.buffer)).toEqual(new Uint32Array(numbers(3).buffer));
    expect(warnings).toEqual([]);
    expect(readdirSync(join(folder, 'step-000003')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
      'optimizer.safetensors',
      'state.json',
    ]);
  });

  it('are kept two at a time, the newest is taken, and the same step can be written again', async () => {
    for (const step of [1, 2, 3, 10, 10]) await save(step);
    expect((await listCheckpoints(folder)).map(({ step }) => step)).toEqual([10, 3]);
    expect(readdirSync(folder).sort()).toEqual(['step-000003', 'step-000010']);
    expect((await resume()).found?.step).toBe(10);
  });

  it('may not be there', async () => {
    expect((await resume()).found).toBeUndefined();
    expect(await listCheckpoints(join(folder, 'none'))).toEqual([]);
    mkdirSync(join(folder, 'step-x'));
    expect((await resume()).found).toBeUndefined();
  });

  it.each([
    ['no state', (path: string) => rmSync(join(path, 'state.json')), /state\.json: no such file/],
    ['half a state', (path: string) => truncateSync(join(path, 'state.json'), 20), /state\.json: not valid JSON/],
    [
      'another state',
      (path: string) => writeFileSync(join(path, 'state.json'), '{"format":1,"step":"2"}'),
      /state\.json: field 'step'/,
    ],
    [
      'a future format',
      (path: string) => writeFileSync(join(path, 'state.json'), '{"format":2}'),
      /state\.json: field 'format' must be 1, got 2/,
    ],
    [
      'half the weights',
      (path: string) => truncateSync(join(path, 'adapter_model.safetensors'), 100),
      /adapter_model\.safetensors: /,
    ],
    ['no optimizer', (path: string) => rmSync(join(path, 'optimizer.safetensors')), /optimizer\.safetensors/],
    [
      'an empty optimizer',
      (path: string) => writeFileSync(join(path, 'optimizer.safetensors'), ''),
      /optimizer\.safetensors: /,
    ],
    [
      'other tensors',
      (path: string) =>
        writeFileSync(join(path, 'optimizer.safetensors'), readFileSync(join(path, 'adapter_model.safetensors'))),
      /tensor 'moment\.w' is missing/,
    ],
  ])('with %s are passed over, or refused where there is no other', async (_, damage, message) => {
    await save(1);
    await save(2);
    damage(join(folder, 'step-000002'));
    const { found, values, warnings } = await resume();
    expect(found?.step).toBe(1);
    expect(values[0]![0]).toBe(1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(message);
    expect(warnings[0]).toMatch(/goes on from .*step-000001$/);
    rmSync(join(folder, 'step-000001'), { recursive: true });
    await expect(resume()).rejects.toThrow(message);
  });

  it('of another run are refused', async () => {
    await save(1);
    await expect(resume({ base: 'llama 2x8 xyz' })).rejects.toThrow(/step-000001: is of another base model/);
    await expect(resume({ data: 'd2' })).rejects.toThrow(/step-000001: was made with other data/);
    await expect(resume({ options: { learningRate: 0.2, betas: [0.9, 0.99] } })).rejects.toThrow(
      /was made with learningRate 0\.1, this run has 0\.2/,
    );
    await expect(resume({ options: { betas: [0.9, 0.99] } as never })).rejects.toThrow(
      /learningRate 0\.1, this run has unset/,
    );
  });

  it('that were cut off while written leave nothing behind', async () => {
    await save(1);
    mkdirSync(join(folder, '.step-000002.f00.tmp'));
    writeFileSync(join(folder, '.step-000002.f00.tmp', 'state.json'), '{');
    mkdirSync(join(folder, '.step-000001.old.tmp'));
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    await openCheckpoints(folder);
    expect(readdirSync(folder).sort()).toEqual(['notes.txt', 'step-000001']);
  });

  it('name the folder that cannot be used', async () => {
    writeFileSync(join(folder, 'file'), '');
    await expect(openCheckpoints(join(folder, 'file', 'x'))).rejects.toThrow(/file/);
  });
});
