// The embedding: the case list, bad ids, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/embedding.js';
import { tensor } from '../../lib/core/tensor.js';
import { embedding } from '../../lib/ops/embedding.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('embedding', cases);

const device = testDevice;
const table = tensor(
  [
    [1, 2],
    [3, 4],
    [5, 6],
  ],
  { device },
);

describe('embedding', () => {
  it('fails at the await for an id outside the table', async () => {
    const out = embedding(table, tensor(Int32Array.of(0, 3), { device }));
    await expect(out.data()).rejects.toThrow('embedding: id 3 (element 1) is outside the table of 3 rows');
    await expect(embedding(table, tensor(Int32Array.of(-1), { device })).data()).rejects.toThrow('id -1');
    await table.device.idle().catch(() => undefined);
  });
  it('refuses what does not fit', () => {
    const ids = tensor(Int32Array.of(0), { device });
    expect(() => embedding(table, table)).toThrow(new TypeError('embedding: ids must be i32, got f32'));
    expect(() => embedding(ids, ids)).toThrow(new TypeError('embedding: takes floating-point tensors, got i32'));
    expect(() => embedding(tensor([1, 2], { device }), ids)).toThrow(
      new RangeError('embedding: the table must be [vocab, dim], got [2]'),
    );
    expect(() => embedding(table, ids, { dtype: 'i32' })).toThrow(TypeError);
  });
});
