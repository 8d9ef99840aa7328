// Cases of the views.

import type { Shape, Tensor } from '../core/tensor.js';
import { expand, permute, reshape, select, slice, split, squeeze, transpose, unsqueeze } from '../ops/view.js';
import { type Case, defineCase, type Numbers, numbers } from './case.js';
import { permuted } from './copy.js';
import { broadcasting } from './elementwise.js';

function view(name: string, shape: number[], run: (x: Tensor) => Tensor, reference: (x: Numbers) => Numbers): Case {
  return defineCase({
    name: `${name} of [${shape}]`,
    inputs: { x: { shape } },
    run: ({ x }) => run(x),
    reference: ({ x }) => reference(x),
    gradients: ['x'],
  });
}

const as = (shape: Shape) => (x: Numbers) => numbers(shape, x.data);

/** Rows [from, to) of axis `axis`. */
function cut(x: Numbers, axis: number, from: number, to: number): Numbers {
  const inner = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = x.shape[axis]!;
  return numbers(
    x.shape.with(axis, to - from),
    x.data.filter((_, i) => {
      const at = Math.floor(i / inner) % size;
      return at >= from && at < to;
    }),
  );
}

export const cases: Case[] = [
  view('reshape to [3,8]', [2, 3, 4], (x) => reshape(x, [3, 8]), as([3, 8])),
  view('reshape to [-1,2]', [6], (x) => reshape(x, [-1, 2]), as([3, 2])),
  view('reshape to []', [1, 1], (x) => reshape(x, []), as([])),
  view('reshape to [4,0]', [0, 3], (x) => reshape(x, [4, 0]), as([4, 0])),
  view(
    'reshape of a transposed view',
    [5, 6],
    (x) => reshape(transpose(x), [3, 10]),
    (x) => numbers([3, 10], permuted(x, [1, 0]).data),
  ),
  view(
    'transpose',
    [5, 6],
    (x) => transpose(x),
    (x) => permuted(x, [1, 0]),
  ),
  view(
    'transpose 0 and 2',
    [2, 3, 4],
    (x) => transpose(x, 0, 2),
    (x) => permuted(x, [2, 1, 0]),
  ),
  view(
    'permute',
    [2, 3, 4, 5],
    (x) => permute(x, [2, -1, 0, 1]),
    (x) => permuted(x, [2, 3, 0, 1]),
  ),
  view(
    'slice of axis 0',
    [7, 3],
    (x) => slice(x, 0, 2, 5),
    (x) => cut(x, 0, 2, 5),
  ),
  view(
    'slice from the end',
    [4, 9],
    (x) => slice(x, 1, -3),
    (x) => cut(x, 1, 6, 9),
  ),
  view(
    'slice of nothing',
    [4, 9],
    (x) => slice(x, 1, 3, 3),
    (x) => cut(x, 1, 3, 3),
  ),
  view(
    'select',
    [4, 3, 5],
    (x) => select(x, 1, -1),
    (x) => numbers([4, 5], cut(x, 1, 2, 3).data),
  ),
  view(
    'the second part of a split',
    [2, 10],
    (x) => split(x, [3, 4, 3], 1)[1]!,
    (x) => cut(x, 1, 3, 7),
  ),
  view(
    'the last part of a split by 4',
    [10, 2],
    (x) => split(x, 4)[2]!,
    (x) => cut(x, 0, 8, 10),
  ),
  view(
    'expand',
    [3, 1],
    (x) => expand(x, [2, 3, 4]),
    (x) => broadcasting([2, 3, 4], [x], (value) => value),
  ),
  view('squeeze', [1, 3, 1, 2], (x) => squeeze(x), as([3, 2])),
  view('squeeze of axis 2', [1, 3, 1], (x) => squeeze(x, 2), as([1, 3])),
  view('unsqueeze', [3, 2], (x) => unsqueeze(x, 1), as([3, 1, 2])),
  view('unsqueeze at the end', [3, 2], (x) => unsqueeze(x, -1), as([3, 2, 1])),
];
