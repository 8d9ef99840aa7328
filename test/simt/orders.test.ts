// One case of each kind that warps share: products, grouped ones too, attention, the paged cache, adapters. It runs in several orders of warps,
// and on GPUs with little shared memory, where kernels must choose tiles that fit.
import { describe, expect, it } from 'vitest';
import { cases as attention } from '../../lib/check/attention.js';
import { type Case, checkForward, checkGradients } from '../../lib/check/case.js';
import { cases as grouped } from '../../lib/check/grouped.js';
import { cases as lora } from '../../lib/check/lora.js';
import { cases as matmul } from '../../lib/check/matmul.js';
import { cases as paged } from '../../lib/check/paged.js';
import { cudaInfo, device } from '../../lib/core/device.js';
import { samples } from '../ops/cases.js';

/** The named ones of a list, each of which must be there. */
function chosen(cases: readonly Case[], ...names: string[]): Case[] {
  return names.map((name) => {
    const found = cases.find((spec) => spec.name.startsWith(name));
    if (!found) throw new Error(`no case is called ${name}`);
    return found;
  });
}

const forward = [
  ...chosen(
    matmul,
    'matmul bf16 [600,72] × bf16 [72,120]',
    "matmul f16 [200,136] × f16 [264,200] a', b'",
    "matmul bf16 [520,136] × bf16 [392,136] b'",
    'matmul f16 [264,840] × f16 [840,520]',
    'matmul f32 [180,20] × f32 [20,270]',
    "matmul bf16 [64,2048] × bf16 [64,2048] b'",
  ),
  ...chosen(
    grouped,
    'groupedMatmul bf16 × bf16 [16,21]',
    'groupedMatmul bf16 × bf16 [768,72]',
    'groupedMatmul bf16 × bf16 [364,40]',
    'groupedMatmul f16 × f16 [133,40]',
    'groupedOuter bf16 [136,200]',
  ),
  ...chosen(
    attention,
    'attention bf16,bf16,bf16 of 535 tokens, 2/1 heads × 64 {}',
    'attention bf16,bf16,bf16 of 535 tokens, 2/1 heads × 128 {"window":150}',
    'attention f32,f32,f32 of 260 tokens',
  ),
  ...chosen(
    paged,
    'pagedAttention bf16',
    'pagedAttention f32',
    ...[64, 96, 128, 256].map(
      (headDim) => `pagedAttention f16,f16 of 1 of 40, 21 of 53 tokens, 2/1 heads × ${headDim}`,
    ),
    ...['bf16,bf16', 'f16,f16'].flatMap((dtypes) =>
      [128, 256].map(
        (headDim) => `pagedAttention ${dtypes} of 1 of 70, 1 of 130, 1 of 200 tokens, 4/2 heads × ${headDim}`,
      ),
    ),
  ),
  ...lora.filter(({ name }) => name.startsWith('loraGrouped')),
];
const both = [
  ...chosen(
    attention,
    ...[64, 96, 128, 256].map((headDim) => `attention bf16,bf16,bf16 of 19,26 tokens, 2/1 heads × ${headDim}`),
    ...[96, 128].map((headDim) => `attention f16,f16,f16 of 19,26 tokens, 2/1 heads × ${headDim}`),
  ),
  ...chosen(lora, 'loraLinear bf16 [70,136]', 'loraLinear bf16 [40,264]', 'loraLinear f16 [65,72]'),
];

describe(`the software GPU ${process.env.HELVETIA_SIMT_PROJECT}`, () => {
  it('is the one that was asked for', () => {
    expect(cudaInfo().capability.replace('.', '')).toBe(process.env.HELVETIA_SIMT_ARCH);
  });
  it.each([...forward, ...both].map((spec) => [spec.name, spec] as const))('%s', async (_, spec) => {
    const { worst, message } = await checkForward(spec, device('cuda'));
    expect(worst, message).toBeLessThanOrEqual(1);
  });
  it.each(both.map((spec) => [spec.name, spec] as const))('gradients of %s', async (_, spec) => {
    const { worst, message } = await checkGradients(spec, device('cuda'), 1, samples);
    expect(worst, message).toBeLessThanOrEqual(1);
  });
});
