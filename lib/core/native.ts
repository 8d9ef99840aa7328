// Loads the addon and types it: one line per kernel, in the order of native/kernels/.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A tensor on the native side. Opaque here: only kernels look inside. */
export type Handle = { readonly __tensor: unique symbol };
/** An optional tensor argument. */
export type Maybe = Handle | null;
export type FileHandle = { readonly __file: unique symbol };
export type RecordingHandle = { readonly __recording: unique symbol };

type H = Handle;

export interface Kernels {
  copy(out: H, x: H): void;
  fill(out: H, value: number): void;
  gather(out: H, x: H, index: H, axis: number): void;
  scatterAdd(out: H, src: H, index: H, axis: number): void;
  uniform(out: H, seed: number, offset: number, low: number, high: number): void;
  normal(out: H, seed: number, offset: number, mean: number, deviation: number): void;
  dropout(out: H, x: H, seed: number, offset: number, probability: number): void;
  neg(out: H, x: H): void;
  exp(out: H, x: H): void;
  log(out: H, x: H): void;
  sqrt(out: H, x: H): void;
  rsqrt(out: H, x: H): void;
  abs(out: H, x: H): void;
  sin(out: H, x: H): void;
  cos(out: H, x: H): void;
  tanh(out: H, x: H): void;
  sigmoid(out: H, x: H): void;
  relu(out: H, x: H): void;
  softplus(out: H, x: H): void;
  silu(out: H, x: H): void;
  gelu(out: H, x: H): void;
  geluTanh(out: H, x: H): void;
  siluBackward(dx: H, dout: H, x: H): void;
  geluBackward(dx: H, dout: H, x: H): void;
  geluTanhBackward(dx: H, dout: H, x: H): void;
  affine(out: H, x: H, scale: number, shift: number): void;
  power(out: H, x: H, exponent: number): void;
  clamp(out: H, x: H, low: number, high: number): void;
  add(out: H, a: H, b: H): void;
  sub(out: H, a: H, b: H): void;
  mul(out: H, a: H, b: H): void;
  div(out: H, a: H, b: H): void;
  maximum(out: H, a: H, b: H): void;
  minimum(out: H, a: H, b: H): void;
  equal(out: H, a: H, b: H): void;
  less(out: H, a: H, b: H): void;
  lessEqual(out: H, a: H, b: H): void;
  where(out: H, condition: H, a: H, b: H): void;
  swiglu(out: H, gate: H, up: H): void;
  swigluBackward(dgate: H, dup: H, dout: H, gate: H, up: H): void;
  geglu(out: H, gate: H, up: H): void;
  gegluBackward(dgate: H, dup: H, dout: H, gate: H, up: H): void;
  sum(out: H, x: H): void;
  max(out: H, x: H): void;
  min(out: H, x: H): void;
  argmax(out: H, x: H): void;
  argmin(out: H, x: H): void;
  topk(values: H, places: H, x: H): void;
  matmul(out: H, a: H, b: H, bias: Maybe, residual: Maybe, activation: number): void;
  softmax(out: H, x: H): void;
  softmaxBackward(dx: H, dout: H, out: H): void;
  logSoftmax(out: H, x: H): void;
  logSoftmaxBackward(dx: H, dout: H, out: H): void;
  rmsNorm(out: H, x: H, weight: H, eps: number, shift: number): void;
  rmsNormBackward(dx: H, dweight: Maybe, dout: H, x: H, weight: H, eps: number, shift: number): void;
  layerNorm(out: H, x: H, weight: H, bias: H, eps: number): void;
  layerNormBackward(dx: H, dweight: Maybe, dbias: Maybe, dout: H, x: H, weight: H, eps: number): void;
  rope(out: H, x: H, positions: H, frequencies: H, factor: number, sign: number, interleaved: boolean): void;
  attention(out: H, lse: H, q: H, k: H, v: H, boundaries: H, scale: number, causal: boolean, window: number, softcap: number): void;
  attentionBackward(dq: H, dk: H, dv: H, dout: H, q: H, k: H, v: H, out: H, lse: H, boundaries: H, scale: number, causal: boolean, window: number, softcap: number): void;
  causalConv(out: H, tails: Maybe, x: H, weight: H, bias: Maybe, boundaries: H, places: Maybe, silu: boolean): void;
  causalConvBackward(dx: H, dweight: Maybe, dbias: Maybe, dout: H, x: H, weight: H, bias: Maybe, boundaries: H, silu: boolean): void;
  gatedDelta(out: H, states: Maybe, q: H, k: H, v: H, g: H, beta: Maybe, boundaries: H, places: Maybe): void;
  gatedDeltaBackward(dq: H, dk: H, dv: H, dg: H, dbeta: Maybe, dout: H, q: H, k: H, v: H, g: H, beta: Maybe, boundaries: H): void;
  pagedAppend(kCache: H, vCache: H, k: H, v: H, slots: H): void;
  pagedAttention(out: H, lse: Maybe, q: H, kCache: H, vCache: H, blockTables: H, boundaries: H, lengths: H, scale: number, window: number, softcap: number): void;
  embedding(out: H, weight: H, ids: H): void;
  embeddingBackward(dweight: H, dout: H, ids: H): void;
  linearCrossEntropy(losses: H, lse: H, likeliest: H, dx: Maybe, sums: Maybe, weighted: Maybe, x: H, weight: H, targets: H, softcap: number, token: number, tokens: number, first: number, words: number): void;
  linearCrossEntropyBackward(dweight: H, dlosses: H, x: H, weight: H, targets: H, lse: H, softcap: number, first: number, words: number): void;
  loraLinear(out: H, hidden: H, x: H, weight: H, bias: Maybe, residual: Maybe, a: H, b: H, scaling: number): void;
  loraLinearBackward(dx: Maybe, da: H, db: H, dout: H, x: H, weight: H, a: H, b: H, hidden: H, scaling: number): void;
  loraMerge(weight: H, a: H, b: H, scaling: number): void;
  loraGrouped(out: H, x: H, a: H, b: H, ranks: H, scalings: H, order: H, segments: H): void;
  route(weights: H, chosen: H, logits: H, bias: Maybe, sigmoid: boolean, normalize: boolean, epsilon: number, least: number, scale: number, groups: number, kept: number, best: number): void;
  routeBackward(dlogits: H, dweights: H, logits: H, chosen: H, sigmoid: boolean, normalize: boolean, epsilon: number, least: number, scale: number): void;
  sortByExpert(rows: H, places: H, segments: H, chosen: H): void;
  combineExperts(out: H, x: H, weights: Maybe, places: H, residual: Maybe): void;
  combineExpertsBackward(dx: H, dweights: H, dout: H, x: H, weights: H, places: H): void;
  groupedMatmul(out: H, a: H, b: H, bias: Maybe, residual: Maybe, segments: H, first: number, scale: number): void;
  groupedOuter(out: H, a: H, b: H, segments: H, scale: number): void;
  dequantize(out: H, x: H): void;
  sample(tokens: H, logits: H, options: H, seeds: H, steps: H): void;
  penalize(logits: H, tokens: H, penalties: H): void;
  squaredNorm(out: H, tensors: readonly H[]): void;
  adamw(parameters: readonly H[], moments: readonly H[], variances: readonly H[], gradients: readonly H[], norm: Maybe, maxNorm: number, learningRate: number, beta1: number, beta2: number, eps: number, weightDecay: number, step: number): void;
}

/**
 * Bytes of one device: in live tensors, the highest that figure has been, freed ones kept for reuse, and the highest that
 * both have been together.
 */
export interface MemoryUse {
  used: number;
  peak: number;
  pooled: number;
  peakHeld: number;
}

export interface Native {
  kernels: Kernels;
  /** The formats of tensors; a format's place is the number by which calls name it. */
  formats: readonly { name: string; blockElements: number; blockBytes: number }[];
  create(dtype: number, kind: number, index: number, ...shape: number[]): Handle;
  view(from: Handle, offset: number, ...shapeThenStrides: number[]): Handle;
  write(to: Handle, bytes: Uint8Array): void;
  transfer(to: Handle, from: Handle): void;
  read(from: Handle, into: ArrayBuffer): Promise<ArrayBuffer>;
  release(handle: Handle): void;
  mapFile(path: string): { handle: FileHandle; bytes: number };
  mappedBytes(file: FileHandle, offset: number, length: number): Uint8Array;
  mappedTensor(file: FileHandle, offset: number, dtype: number, ...shape: number[]): Handle;
  unmap(file: FileHandle): void;
  startRecording(): void;
  stopRecording(): RecordingHandle;
  replay(recording: RecordingHandle): void;
  dropRecording(recording: RecordingHandle): void;
  idle(kind: number, index: number): Promise<void>;
  memory(kind: number, index: number): MemoryUse;
  trim(kind: number, index: number): void;
  resetPeak(kind: number, index: number): void;
  cudaInfo(index: number): {
    name: string;
    capability: string;
    processors: number;
    bytes: number;
    freeBytes: number;
    graphLaunches: number;
    peerCopies: number;
  };
  cudaCount(): number;
  cpuInfo(): { path: string; threads: number; paths: string[] };
  cudaAbsence(): string;
  cudaPassedOver(): string;
}

const bundled =
  'helvetia: its package.json was not found. The package cannot be part of a bundle, as its native addon and its worker ' +
  "are files of their own: leave it out by serverExternalPackages: ['helvetia'] in Next.js's configuration, or by " +
  '--external:helvetia for esbuild';

function loadAddon(): Native {
  // Undefined in a bundle of CommonJS.
  const here = import.meta.url as string | undefined;
  if (here === undefined) throw new Error(bundled);
  const require = createRequire(here);
  const root = packageRoot(here, require);
  try {
    if (process.env.HELVETIA_GPU === 'simt') return require(join(root, 'build/simt/Release/helvetia.node')) as Native;
    return (require('node-gyp-build') as (folder: string) => Native)(root);
  } catch (error) {
    throw new Error(
      `helvetia's native addon did not load on ${process.platform}-${process.arch}, Node ${process.version}. ` +
        `Build it with: npm rebuild helvetia (or npm run setup in a clone of it); that needs CMake and a C++20 compiler. ` +
        `The reason: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

// The sources lie in lib/ and the compiled files in dist/lib/: the root is the nearest folder with the package's name.
function packageRoot(here: string, require: NodeJS.Require): string {
  for (let folder = dirname(fileURLToPath(here)); ; folder = dirname(folder)) {
    try {
      if ((require(join(folder, 'package.json')) as { name?: string }).name === 'helvetia') return folder;
    } catch {
      // No package.json here: look one folder up.
    }
    if (folder === dirname(folder)) throw new Error(bundled);
  }
}

export const native: Native = loadAddon();
export const kernels: Kernels = native.kernels;
