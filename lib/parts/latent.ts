// Attention of queries to cached latents, in two forms. The absorbed one takes the up-projection of keys into the queries
// and that of values out of the sum, so that all heads read one row per token:
//
//   score = scale · ((q_n W_k) · c + q_r · k_r),   out = (Σ p c) W_v'
//
// The expanded one computes keys and values of all heads from the latents first, which long runs of a prompt repay.
// From DeepSeek-AI, "DeepSeek-V2" (2024), section 2.1.
import type { Device } from '../core/device.js';
import type { Steps } from '../core/steps.js';
import { type Tensor, tensor, viewOf } from '../core/tensor.js';
import { type AttentionOptions, attentionSteps } from '../ops/attention.js';
import { less, minimum } from '../ops/binary.js';
import { cast, concat, gather } from '../ops/copy.js';
import { add, mul } from '../ops/elementwise.js';
import { embedding } from '../ops/embedding.js';
import { matmulSteps } from '../ops/matmul.js';
import { pagedAttention } from '../ops/paged.js';
import { zeros } from '../ops/random.js';
import { expand, permute, reshape, slice, split } from '../ops/view.js';
import { applyLinear, type LinearLayer } from './linear.js';
import type { KeptBlocks } from './memory.js';
import type { Packed, Pass, Run } from './part.js';

export interface LatentSizes {
  heads: number;
  /** Channels of a head's query and key that are not rotated. */
  nope: number;
  /** Channels that are; of the key they are the same for all heads. */
  turned: number;
  /** Channels of a head's value. */
  value: number;
  /** Channels of the latent. */
  latent: number;
}

export interface LatentLayer {
  sizes: LatentSizes;
  /** `kv_b_proj`, `[heads · (nope + value), latent]`. */
  up: LinearLayer;
  scale: number;
}

/** Queries: `pass [tokens, heads, nope]` and `turned [tokens, heads, turned]`, rotated. */
export interface LatentQueries {
  pass: Tensor;
  turned: Tensor;
}

/** Keys `[tokens, heads, nope + turned]` and values `[tokens, heads, value]` of latents and of rotated keys `[tokens, turned]`. */
export function* expandLatents(
  { sizes, up }: LatentLayer,
  latents: Tensor,
  turned: Tensor,
  pass: Pass,
): Steps<[keys: Tensor, values: Tensor]> {
  const { heads, nope, value, turned: width } = sizes;
  const tokens = latents.dim(0);
  const both = reshape(yield* applyLinear(up, latents, pass), [tokens, heads, nope + value]);
  const [keys, values] = split(both, [nope, value], 2) as [Tensor, Tensor];
  const repeated = expand(reshape(turned, [tokens, 1, width]), [tokens, heads, width]);
  return [concat([keys, cast(repeated, keys.dtype as 'f32')], 2), values];
}

/** Attention over what is kept: `[tokens, heads, value]`. */
export function* attendKept(layer: LatentLayer, queries: LatentQueries, pass: Pass, kept: KeptBlocks): Steps<Tensor> {
  const stretches = stretchesOf(layer.sizes, pass.batch);
  if (!stretches) return yield* absorbed(layer, queries, pass, { ...kept, boundaries: pass.batch.boundaries });
  const outputs: Tensor[] = [];
  for (const { first, tokens, run, runs, boundaries, expanded } of stretches) {
    const of = (x: Tensor, from = first, count = tokens): Tensor => slice(x, 0, from, from + count);
    const some = { pass: of(queries.pass), turned: of(queries.turned) };
    if (expanded) outputs.push(yield* attendExpanded(layer, some, pass, kept, run, expanded));
    else {
      const { adapter } = pass;
      const own = adapter && 'groups' in adapter ? { ...adapter, slots: of(adapter.slots) } : adapter;
      const places = { ...kept, lengths: of(kept.lengths, run, runs), blockTables: of(kept.blockTables, run, runs) };
      outputs.push(yield* absorbed(layer, some, { ...pass, adapter: own }, { ...places, boundaries }));
    }
    yield;
  }
  return outputs.length === 1 ? outputs[0]! : concat(outputs, 0);
}

/** A run of a prompt whose keys and values are computed, or runs that are attended in the absorbed form. */
interface Stretch {
  /** Its first token and its first run, and how many it has. */
  first: number;
  tokens: number;
  run: number;
  runs: number;
  /** i32 `[runs + 1]`, from 0. */
  boundaries: Tensor;
  expanded: Expanded | undefined;
}

interface Expanded extends Run {
  /** i32 `[1, length]` and `[1]`: the keys as blocks of one key, and how many there are. */
  blockTables: Tensor;
  lengths: Tensor;
}

/**
 * Whether a run's keys and values are worth computing: that takes `latent · (nope + value)` multiplications for each key and
 * head, and saves `2 · latent - nope - value` for each pair of a query and a key. Not on the CPU, where a sequence's numbers
 * must not depend on how a prompt is cut.
 */
const isExpanded = ({ nope, value, latent }: LatentSizes, queries: number, device: Device): boolean =>
  device.name !== 'cpu' && queries * (2 * latent - nope - value) > latent * (nope + value);

const plans = new WeakMap<Packed, readonly Stretch[] | null>();

/** Stretches of the batch in order, the same for all layers; undefined where all of it is absorbed. */
function stretchesOf(sizes: LatentSizes, batch: Packed): readonly Stretch[] | undefined {
  let plan = plans.get(batch);
  if (plan === undefined) {
    const long = (run: Run): boolean => isExpanded(sizes, run.count, batch.boundaries.device);
    plan = batch.runs?.some(long) ? planned(batch.runs, long, batch) : null;
    plans.set(batch, plan);
  }
  return plan ?? undefined;
}

function planned(runs: readonly Run[], long: (run: Run) => boolean, { boundaries }: Packed): Stretch[] {
  const { device } = boundaries;
  const numbers = (list: readonly number[]): Tensor => tensor(Int32Array.from(list), { device });
  const stretches: Stretch[] = [];
  let first = 0;
  for (let run = 0; run < runs.length; ) {
    const expanded = long(runs[run]!);
    let end = run + 1;
    while (!expanded && end < runs.length && !long(runs[end]!)) end++;
    const ends = [0];
    for (const { count } of runs.slice(run, end)) ends.push(ends.at(-1)! + count);
    const tokens = ends.at(-1)!;
    const { length } = runs[run]!;
    stretches.push({
      first,
      tokens,
      run,
      runs: end - run,
      boundaries: numbers(ends),
      expanded: expanded
        ? {
            ...runs[run]!,
            blockTables: reshape(numbers([...Array(length).keys()]), [1, length]),
            lengths: numbers([length]),
          }
        : undefined,
    });
    first += tokens;
    run = end;
  }
  return stretches;
}

/** Attention of one run in the expanded form: keys and values of all of its sequence's latents. */
function* attendExpanded(
  layer: LatentLayer,
  { pass: queryPass, turned: queryTurned }: LatentQueries,
  pass: Pass,
  { keys: cache, blockTables }: KeptBlocks,
  run: number,
  { count, length, slot, blockTables: ones, lengths }: Expanded,
): Steps<Tensor> {
  const { latent, turned } = layer.sizes;
  const { device } = cache;
  const [blocks, , blockSize, width] = cache.shape as [number, number, number, number];
  const own = slice(slice(blockTables, 0, run, run + 1), 1, 0, Math.ceil(length / blockSize));
  const found = embedding(viewOf(cache, [blocks, blockSize * width], [blockSize * width, 1]), own, {
    dtype: queryPass.dtype,
  });
  const rows = viewOf(found, [length, width], [width, 1]);
  const [latents, keyTurned] = split(rows, [latent, turned], 1) as [Tensor, Tensor];
  yield;
  const adapter = adapterOf(layer, pass, ones, slot);
  const [keys, values] = yield* expandLatents(layer, latents, keyTurned, { ...pass, adapter });
  yield;
  const queries = concat([queryPass, queryTurned], 2);
  const boundaries = tensor(Int32Array.of(0, count), { device });
  const { scale } = layer;
  if (count === length) return yield* attendPacked([queries, keys, values], { boundaries, scale, longest: count });
  const [q, k, v] = asWide([queries, keys, values]);
  const settings = { blockTables: ones, boundaries, lengths, scale };
  return slice(pagedAttention(q, inBlocksOfOne(k), inBlocksOfOne(v), settings), 2, 0, values.dim(2));
}

type Rows = readonly [queries: Tensor, keys: Tensor, values: Tensor];

/** Attention of packed sequences, whose values may be narrower or wider than keys. */
export function* attendPacked(rows: Rows, options: AttentionOptions): Steps<Tensor> {
  return slice(yield* attentionSteps(...asWide(rows), options), 2, 0, rows[2].dim(2));
}

/** Zeros behind the channels of the narrower ones: the kernels take keys and values of one size. */
function asWide(rows: Rows): Rows {
  const width = Math.max(...rows.map((x) => x.dim(2)));
  const widened = (x: Tensor): Tensor => {
    if (x.dim(2) === width) return x;
    const rest = zeros([x.dim(0), x.dim(1), width - x.dim(2)], { dtype: x.dtype as 'f32', device: x.device });
    return concat([x, rest], 2);
  };
  return [widened(rows[0]), widened(rows[1]), widened(rows[2])];
}

/** `[tokens, heads, channels]` as a cache whose blocks have one token each. */
function inBlocksOfOne(x: Tensor): Tensor {
  const [token, head] = x.strides as [number, number];
  return viewOf(x, [x.dim(0), x.dim(1), 1, x.dim(2)], [token, head, head, 1]);
}

/** The adapter of one slot for rows that are all its own. */
function adapterOf({ up }: LatentLayer, { adapter }: Pass, ones: Tensor, slot: number | undefined): Pass['adapter'] {
  if (!adapter || !('groups' in adapter)) return adapter;
  const group = adapter.groups.get(up.path);
  if (!group || slot === undefined) return undefined;
  const { device } = ones;
  const starts = Int32Array.from({ length: group.a.dim(0) + 1 }, (_, i) => (i > slot ? ones.size : 0));
  const rows = { ...group, order: reshape(ones, [ones.size]), segments: tensor(starts, { device }) };
  return { ...adapter, groups: new Map([[up.path, rows]]) };
}

interface Places extends Pick<KeptBlocks, 'keys' | 'blockTables' | 'lengths'> {
  boundaries: Tensor;
}

function* absorbed(
  { sizes, up, scale }: LatentLayer,
  queries: LatentQueries,
  pass: Pass,
  { keys, blockTables, lengths, boundaries }: Places,
): Steps<Tensor> {
  const { heads, nope, value, latent } = sizes;
  const weight = reshape(pass.weight(`${up.path}.weight`), [heads, nope + value, latent]);
  const [keyUp, valueUp] = split(weight, [nope, value], 1) as [Tensor, Tensor];
  const pair = pairFor({ sizes, up }, pass);
  let folded = yield* fold(queries.pass, keyUp);
  if (pair) folded = add(folded, yield* pair.ofQueries(queries.pass));
  yield;
  const all = concat([folded, cast(queries.turned, folded.dtype as 'f32')], 2);
  const sums = slice(pagedAttention(all, keys, keys, { blockTables, boundaries, lengths, scale }), 2, 0, latent);
  yield;
  const out = byHead(yield* matmulSteps(byHead(sums), valueUp, { transposeB: true }));
  return pair ? add(out, yield* pair.ofSums(sums)) : out;
}

const byHead = (x: Tensor): Tensor => permute(x, [1, 0, 2]);

/**
 * `x [tokens, heads, nope]` by each head's own of `weights [heads, nope, latent]`. On the CPU a row at a time: a product's sums
 * would have another order for another number of rows, as the weights do not lie along them.
 */
function* fold(x: Tensor, weights: Tensor): Steps<Tensor> {
  if (x.device.name !== 'cpu') return byHead(yield* matmulSteps(byHead(x), weights));
  return fromRows(yield* matmulSteps(inRows(x), weights));
}

/** `[tokens, heads, n]` as matrices of one row each, and back. */
const inRows = (x: Tensor): Tensor => reshape(x, [x.dim(0), x.dim(1), 1, x.dim(2)]);
const fromRows = (x: Tensor): Tensor => reshape(x, [x.dim(0), x.dim(1), x.dim(3)]);

/** What an adapter's pair for `kv_b_proj` adds in the absorbed form. */
interface AbsorbedPair {
  /** `[tokens, heads, nope] → [tokens, heads, latent]` */
  ofQueries(queries: Tensor): Steps<Tensor>;
  /** `[tokens, heads, latent] → [tokens, heads, value]` */
  ofSums(sums: Tensor): Steps<Tensor>;
}

function pairFor({ sizes, up }: Pick<LatentLayer, 'sizes' | 'up'>, { adapter }: Pass): AbsorbedPair | undefined {
  if (!adapter) return undefined;
  const { heads, nope, value, latent } = sizes;
  let parts: { a: Tensor; b: Tensor; scaled(x: Tensor): Tensor };
  if ('groups' in adapter) {
    const group = adapter.groups.get(up.path);
    if (!group) return undefined;
    const { a, b, scalings } = group;
    const [slots, rank] = [a.dim(0), a.dim(1)];
    const own = minimum(adapter.slots, slots - 1);
    const tokens = own.size;
    const rows = (x: Tensor): Tensor => embedding(reshape(x, [slots, x.size / slots]), own);
    // A token without an adapter has the number behind the last slot.
    const factor = mul(gather(scalings, 0, own), cast(less(adapter.slots, slots), 'f32'));
    parts = {
      a: reshape(rows(a), [tokens, 1, rank, latent]),
      b: reshape(rows(b), [tokens, heads, nope + value, rank]),
      scaled: (x) => mul(x, reshape(cast(factor, x.dtype as 'f32'), [tokens, 1, 1, 1])),
    };
  } else {
    const pair = adapter.pairs.get(up.path);
    if (!pair) return undefined;
    const { a, b, scaling } = pair;
    const rank = a.dim(0);
    parts = {
      a: reshape(a, [1, 1, rank, latent]),
      b: reshape(b, [1, heads, nope + value, rank]),
      scaled: (x) => mul(x, scaling),
    };
  }
  const { a, b, scaled } = parts;
  const [keyUp, valueUp] = split(b, [nope, value], 2) as [Tensor, Tensor];
  return {
    *ofQueries(queries) {
      const low = scaled(yield* matmulSteps(inRows(queries), keyUp));
      return fromRows(yield* matmulSteps(low, a));
    },
    *ofSums(sums) {
      const low = scaled(yield* matmulSteps(inRows(sums), a, { transposeB: true }));
      return fromRows(yield* matmulSteps(low, valueUp, { transposeB: true }));
    },
  };
}
