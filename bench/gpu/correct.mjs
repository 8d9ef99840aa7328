// Before anything is timed: large products and attention against sums in double precision of the same rounded inputs.
// The op suite checks every kernel on small shapes; here are the sizes at which tiles, clusters and splits are all in use.
import {
  attention,
  backward,
  groupedMatmul,
  groupedOuter,
  loraLinear,
  matmul,
  noGrad,
  randn,
  scope,
  tensor,
} from '../../dist/lib/tensor-api.js';

const random = (n) => Math.floor(Math.random() * n);
/** Some places among `n`: both ends, the edges of tiles, and a few more. */
const places = (n) =>
  [...new Set([0, 63, 64, 127, 128, 255, 256, n - 2, n - 1, random(n), random(n), random(n)])].filter(
    (i) => i >= 0 && i < n,
  );

/** Throws unless `got` lies within `share` of `want` as a whole, and every number within `most` of their deviation. */
function near(name, got, want, share, most) {
  let [error, size, worst] = [0, 0, 0];
  for (const [i, x] of want.entries()) {
    const difference = Math.abs(got[i] - x);
    error += difference ** 2;
    size += x ** 2;
    if (!(difference <= worst)) worst = difference; // NaN too
  }
  const [relative, largest] = [Math.sqrt(error / size), worst / Math.sqrt(size / want.length)];
  const right = relative <= share && largest <= most;
  console.error(
    `${right ? 'right' : 'WRONG'}  ${name.padEnd(52)} error ${relative.toExponential(1)}, largest ${largest.toExponential(1)} of the deviation`,
  );
  return right ? [] : [`${name}: error ${relative}, largest ${largest}`];
}

const limits = { bf16: [4e-3, 2e-2], f32: [1e-4, 1e-3] };

/** Whole rows and columns of a product: `left(i, k)` and `right(k, j)` over `depth`, plus `more(i, j)`. */
function checkProduct(name, out, [m, n, depth], left, right, dtype, more = () => 0) {
  const [got, want] = [[], []];
  const check = (i, j) => {
    let sum = more(i, j);
    for (let k = 0; k < depth; k++) sum += left(i, k) * right(k, j);
    want.push(sum);
    got.push(out[i * n + j]);
  };
  for (const i of places(m).slice(-5)) for (let j = 0; j < n; j++) check(i, j);
  for (const j of places(n).slice(-5)) for (let i = 0; i < m; i++) check(i, j);
  for (const i of places(m)) for (const j of places(n)) check(i, j);
  return near(name, got, want, ...limits[dtype]);
}

const draw = (device) => (shape, seed) => randn(shape, { seed, dtype: 'bf16', device });

async function product(device, [m, n, k], layout, dtype, adds = false) {
  const [transposeA, transposeB] = [layout[0] === 'T', layout[1] === 'T'];
  return scope(async () => {
    const a = draw(device)(transposeA ? [k, m] : [m, k], 1);
    const b = draw(device)(transposeB ? [n, k] : [k, n], 2);
    const residual = adds ? draw(device)([m, n], 3) : undefined;
    const out = noGrad(() => matmul(a, b, { transposeA, transposeB, dtype, residual }));
    const [x, y, z] = [await a.data(), await b.data(), await out.data()];
    const more = await residual?.data();
    return checkProduct(
      `${layout} ${m} × ${n} × ${k}, ${dtype} out${adds ? ' + residual' : ''}`,
      z,
      [m, n, k],
      (i, p) => x[transposeA ? p * m + i : i * k + p],
      (p, j) => y[transposeB ? j * k + p : p * n + j],
      dtype,
      (i, j) => more?.[i * n + j] ?? 0,
    );
  });
}

async function lowRank(device, [m, n, k], rank) {
  return scope(async () => {
    const take = draw(device);
    const [x, weight, a, b] = [take([m, k], 1), take([n, k], 2), take([rank, k], 3), take([n, rank], 4)];
    const scaling = 0.5 / Math.sqrt(rank);
    const out = noGrad(() => loraLinear(x, weight, a, b, { scaling }));
    const [xs, ws, as, bs, z] = await Promise.all([x, weight, a, b, out].map((t) => t.data()));
    const hidden = new Map();
    const hiddenOf = (i) => {
      if (!hidden.has(i)) {
        const row = Array.from({ length: rank }, (_, r) => {
          let sum = 0;
          for (let p = 0; p < k; p++) sum += xs[i * k + p] * as[r * k + p];
          return sum;
        });
        hidden.set(i, row);
      }
      return hidden.get(i);
    };
    const more = (i, j) => scaling * hiddenOf(i).reduce((sum, h, r) => sum + h * bs[j * rank + r], 0);
    const name = `LoRA of rank ${rank}, ${m} × ${n} × ${k}`;
    return checkProduct(
      name,
      z,
      [m, n, k],
      (i, p) => xs[i * k + p],
      (p, j) => ws[j * k + p],
      'bf16',
      more,
    );
  });
}

/** Where groups begin among rows that chose theirs by chance, always the same; and the end of the last. */
export function segmentsByChance(rows, groups) {
  const starts = new Int32Array(groups + 1);
  let state = 1;
  for (let row = 0; row < rows; row++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    starts[1 + Math.floor((state / 2 ** 32) * groups)]++;
  }
  for (let g = 0; g < groups; g++) starts[g + 1] += starts[g];
  return starts;
}

/** Rows of a mixture's products, forward and backward, and some of the sums over a group's rows. */
async function grouped(device, [rows, groups, n, k]) {
  return scope(async () => {
    const starts = segmentsByChance(rows, groups);
    const segments = tensor(starts, { device });
    const groupOf = (row) => starts.findLastIndex((start) => start <= row);
    const [x, b] = [draw(device)([rows, k], 1), draw(device)([groups, n, k], 2)];
    const [out, sums] = noGrad(() => {
      const product = groupedMatmul(x, b, segments, { transposeB: true });
      return [product, groupedOuter(product, x, segments, { dtype: 'f32' })];
    });
    const dx = noGrad(() => groupedMatmul(out, b, segments));
    const [X, B, Y, S, D] = await Promise.all([x, b, out, sums, dx].map((t) => t.data()));
    const sides = { forward: [[], []], backward: [[], []], outer: [[], []] };
    const push = (side, got, want) => {
      sides[side][0].push(got);
      sides[side][1].push(want);
    };
    const sum = (count, term) => {
      let total = 0;
      for (let i = 0; i < count; i++) total += term(i);
      return total;
    };
    for (const row of [...new Set([...places(rows), ...starts.slice(1, 4), ...starts.slice(1, 4).map((s) => s - 1)])]) {
      if (row < 0 || row >= rows) continue;
      const at = groupOf(row) * n;
      for (let j = 0; j < n; j++)
        push(
          'forward',
          Y[row * n + j],
          sum(k, (i) => X[row * k + i] * B[(at + j) * k + i]),
        );
      for (let i = 0; i < k; i++)
        push(
          'backward',
          D[row * k + i],
          sum(n, (j) => Y[row * n + j] * B[(at + j) * k + i]),
        );
    }
    for (const g of new Set([0, groups - 1, random(groups)]))
      for (const j of places(n))
        for (const i of places(k))
          push(
            'outer',
            S[(g * n + j) * k + i],
            sum(starts[g + 1] - starts[g], (r) => Y[(starts[g] + r) * n + j] * X[(starts[g] + r) * k + i]),
          );
    return Object.entries(sides).flatMap(([side, [got, want]]) =>
      near(`experts ${rows} rows of ${groups} × ${n} × ${k}, ${side}`, got, want, ...limits.bf16),
    );
  });
}

/** Causal attention over one sequence: some rows of the result and of dq, and dk and dv of keys that few rows see. */
async function causal(device, tokens, [heads, kvHeads, d]) {
  return scope(async () => {
    const [q, k, v, dout] = [heads, kvHeads, kvHeads, heads].map((count, i) => draw(device)([tokens, count, d], i + 1));
    for (const x of [q, k, v]) x.requiresGrad = true;
    const scale = d ** -0.5;
    const out = attention(q, k, v, { boundaries: tensor(Int32Array.of(0, tokens), { device }), scale });
    backward(out, dout);
    const [Q, K, V, D, O] = await Promise.all([q, k, v, dout, out].map((t) => t.data()));
    const [dQ, dK, dV] = await Promise.all([q, k, v].map((t) => t.grad.data()));
    const row = (data, count, t, h) => data.subarray((t * count + h) * d, (t * count + h + 1) * d);
    const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
    const group = heads / kvHeads;
    /** Of one query: its probabilities, the result, and the gradients of its scores. */
    const query = (t, h) => {
      const kv = Math.floor(h / group);
      const scores = Array.from({ length: t + 1 }, (_, j) => scale * dot(row(Q, heads, t, h), row(K, kvHeads, j, kv)));
      const most = scores.reduce((a, b) => Math.max(a, b));
      const exps = scores.map((s) => Math.exp(s - most));
      const total = exps.reduce((a, b) => a + b);
      const weights = exps.map((e) => e / total);
      const grads = weights.map((_, j) => dot(row(D, heads, t, h), row(V, kvHeads, j, kv)));
      const mean = grads.reduce((sum, g, j) => sum + g * weights[j], 0);
      return { kv, weights, slopes: weights.map((w, j) => w * (grads[j] - mean) * scale) };
    };
    const sides = { out: [[], []], dq: [[], []], dk: [[], []], dv: [[], []] };
    const push = (side, got, want) => {
      sides[side][0].push(...got);
      sides[side][1].push(...want);
    };
    for (const t of places(tokens)) {
      const h = random(heads);
      const { kv, weights, slopes } = query(t, h);
      const sum = (factors, data) =>
        Array.from({ length: d }, (_, c) => factors.reduce((s, f, j) => s + f * data[(j * kvHeads + kv) * d + c], 0));
      push('out', row(O, heads, t, h), sum(weights, V));
      push('dq', row(dQ, heads, t, h), sum(slopes, K));
    }
    const kv = random(kvHeads);
    for (const j of [tokens - 1, tokens - 2, tokens - 20].filter((place) => place >= 0)) {
      const [dk, dv] = [new Float64Array(d), new Float64Array(d)];
      for (let t = j; t < tokens; t++)
        for (let h = kv * group; h < (kv + 1) * group; h++) {
          const { weights, slopes } = query(t, h);
          for (let c = 0; c < d; c++) {
            dk[c] += slopes[j] * Q[(t * heads + h) * d + c];
            dv[c] += weights[j] * D[(t * heads + h) * d + c];
          }
        }
      push('dk', row(dK, kvHeads, j, kv), dk);
      push('dv', row(dV, kvHeads, j, kv), dv);
    }
    // Probabilities and their gradients are rounded to bf16 on their way: more error than a product's.
    return Object.entries(sides).flatMap(([side, [got, want]]) =>
      near(`attention ${tokens}, ${heads}/${kvHeads} × ${d}, ${side}`, got, want, 1.5e-2, 0.2),
    );
  });
}

/** What is wrong, in sentences. `small`: sizes for the GPU in software. */
export async function wrongs(device, small) {
  const found = [];
  const scaled = (shape) => (small ? shape.map((x) => Math.max(1, Math.ceil(x / 32))) : shape);
  for (const layout of ['NT', 'NN', 'TN'])
    for (const dtype of ['bf16', 'f32'])
      found.push(...(await product(device, scaled([4000, 4104, 4136]), layout, dtype)));
  for (const [m, n, k] of [
    [129, 4096, 4096],
    [257, 4096, 4096],
    [16, 4096, 4096],
    [64, 128, 16384],
    [1, 4096, 14336],
    [8, 6144, 4096],
  ])
    for (const adds of [false, true]) found.push(...(await product(device, scaled([m, n, k]), 'NT', 'bf16', adds)));
  found.push(...(await product(device, scaled([64, 128, 16384]), 'NT', 'f32')));
  for (const shape of [
    [32000, 64, 1544, 2056],
    [8, 64, 1544, 2056],
    [300, 64, 1544, 2056],
  ])
    found.push(...(await grouped(device, scaled(shape))));
  found.push(...(await lowRank(device, scaled([1000, 4096, 4096]), 16)));
  found.push(...(await causal(device, small ? 70 : 2048, small ? [4, 2, 64] : [32, 8, 128])));
  return found;
}
