// Views: the case list, that no bytes move, and misuse.
import { describe, expect, it } from 'vitest';
import { cases } from '../../lib/check/view.js';
import { kernels } from '../../lib/core/native.js';
import { arange } from '../../lib/ops/random.js';
import { expand, permute, reshape, select, slice, split, squeeze, transpose, unsqueeze } from '../../lib/ops/view.js';
import { testDevice } from '../device.js';
import { runCases } from './cases.js';

runCases('view', cases);

const device = testDevice;

describe('views', () => {
  it('share the storage', async () => {
    const x = arange(12, { device });
    const part = select(transpose(reshape(x, [3, 4])), 0, 2);
    expect(part.shape).toEqual([3]);
    kernels.fill(part.handle, -1);
    expect([...(await x.data())]).toEqual([0, 1, -1, 3, 4, 5, -1, 7, 8, 9, -1, 11]);
  });
  it('keep the storage when the tensor is gone', async () => {
    const x = arange(6, { device });
    const tail = slice(x, 0, 4);
    x.dispose();
    expect([...(await tail.data())]).toEqual([4, 5]);
  });
  it('cut an axis into parts', () => {
    expect(split(arange(10, { device }), 4).map((part) => part.shape)).toEqual([[4], [4], [2]]);
    expect(split(arange(0, { device }), 4)).toEqual([]);
  });
});

describe('misuse', () => {
  const x = reshape(arange(6, { device }), [2, 3]);
  it('says what is wrong', () => {
    expect(() => reshape(x, [4, 2])).toThrow(new RangeError('reshape: [2,3] to [4,2]'));
    expect(() => reshape(x, [-1, 4])).toThrow(RangeError);
    expect(() => reshape(x, [-1, -1])).toThrow(RangeError);
    expect(() => reshape(x, [-2, -3])).toThrow(RangeError);
    expect(() => permute(x, [0, 0])).toThrow(new RangeError('permute: [0,0] is no order of the axes of [2,3]'));
    expect(() => permute(x, [0])).toThrow(RangeError);
    expect(() => transpose(x, 0, 2)).toThrow(new RangeError('transpose: axis 2 of a tensor [2,3]'));
    expect(() => slice(x, 1, 2, 4)).toThrow(new RangeError('slice: [2, 4) of axis 1 of [2,3]'));
    expect(() => slice(x, 1, 2, 1)).toThrow(RangeError);
    expect(() => slice(x, 1, 0.5)).toThrow(RangeError);
    expect(() => select(x, 0, 2)).toThrow(new RangeError('select: index 2 of axis 0 of [2,3]'));
    expect(() => split(x, [1, 1], 1)).toThrow(new RangeError('split: sizes [1,1] of axis 1 of [2,3]'));
    expect(() => split(x, 0)).toThrow(RangeError);
    expect(() => expand(x, [2, 4])).toThrow(new RangeError('expand: [2,3] does not broadcast to [2,4]'));
    expect(() => squeeze(x, 0)).toThrow(new RangeError('squeeze: axis 0 of [2,3] is not of size 1'));
    expect(() => unsqueeze(x, 4)).toThrow(RangeError);
    expect(() => reshape(x, [1, 1, 1, 1, 1, 1, 6])).toThrow('at most 6 axes');
  });
});
