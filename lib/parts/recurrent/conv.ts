// Depthwise causal convolutions of recurrent layers; and the short convolution of LFM2 (Liquid AI, "LFM2 technical report",
// 2025), gated before and behind it, which mixes tokens in the place of attention.
import type { Tensor } from '../../core/tensor.js';
import { causalConv } from '../../ops/conv.js';
import { mul } from '../../ops/elementwise.js';
import type { PackedOptions } from '../../ops/sequences.js';
import { split } from '../../ops/view.js';
import { applyLinear, linearLayer } from '../linear.js';
import type { StateMemory } from '../memory.js';
import { type Inside, type Part, type Pass, type Place, productFlops, type Weight } from '../part.js';
import { statesOf } from './states.js';

export interface ConvOptions {
  channels: number;
  /** Taps. */
  width: number;
  bias?: boolean | undefined;
  /** The result goes through silu. */
  silu?: boolean | undefined;
  /** For each channel of the checkpoint, the one of a GGUF file. Default: the same. */
  ggufRows?: Int32Array | undefined;
}

/** A convolution of each channel with its own taps. */
export interface Conv {
  readonly weights: readonly Weight[];
  /** The shape of what it keeps of a sequence: the last inputs. */
  readonly tail: readonly number[];
  /** `x [tokens, channels]` gives the same shape. */
  apply(x: Tensor, pass: Pass, sequences: PackedOptions): Tensor;
}

/** Checkpoints store the taps as `[channels, 1, width]`. */
export function convOf({ path, gguf }: Place, { channels, width, bias, silu, ggufRows: rows }: ConvOptions): Conv {
  const taps: Weight = {
    name: `${path}.weight`,
    gguf: { name: `${gguf}.weight`, rows },
    shape: [channels, width],
    stored: [channels, 1, width],
    start: 'random',
  };
  const added: Weight = { name: `${path}.bias`, gguf: { name: `${gguf}.bias`, rows }, shape: [channels], start: 0 };
  return {
    weights: bias ? [taps, added] : [taps],
    tail: [width - 1, channels],
    apply: (x, pass, sequences) =>
      causalConv(x, pass.weight(taps.name), {
        ...sequences,
        silu: silu ?? false,
        ...(bias ? { bias: pass.weight(added.name) } : {}),
      }),
  };
}

export interface ShortConvOptions {
  hiddenSize: number;
  width: number;
  /** Of the projections and of the convolution. */
  bias?: boolean | undefined;
}

/** `out(C · conv(B · X))` of `[B; C; X] = in(x)`. The weights are `conv.{in_proj,conv,out_proj}` of the layer. */
export function shortConv(layer: Inside, { hiddenSize, width, bias }: ShortConvOptions): Part {
  const into = linearLayer(layer('conv.in_proj', 'shortconv.in_proj'), { out: 3 * hiddenSize, in: hiddenSize, bias });
  const conv = convOf(layer('conv.conv', 'shortconv.conv'), { channels: hiddenSize, width, bias });
  const output = linearLayer(layer('conv.out_proj', 'shortconv.out_proj'), { out: hiddenSize, in: hiddenSize, bias });
  const weights = [into, conv, output].flatMap((part) => part.weights);
  const memory: StateMemory = { kind: 'state', shapes: [conv.tail], dtype: 'f32' };
  return {
    weights,
    memory: [memory],
    constants: [],
    facts: { taps: width },
    flops: () => ({ products: productFlops(weights), mixing: 0 }),
    *run(x, pass, residual) {
      const [b, c, values] = split(yield* applyLinear(into, x, pass), [hiddenSize, hiddenSize, hiddenSize], 1);
      yield;
      const mixed = conv.apply(mul(b!, values!), pass, statesOf(memory, pass)(0));
      yield;
      return yield* applyLinear(output, mul(c!, mixed), pass, residual);
    },
  };
}
