// What architectures with layers of Mamba-2 share: the keys of their configs, and the metadata of GGUF files.
import { z } from 'zod';
import type { MambaOptions } from '../parts/recurrent/mamba.js';
import { type GgufKeys, optional, size } from './architecture.js';

export const mambaSchema = z.looseObject({
  mamba_n_heads: optional(size),
  mamba_d_head: optional(z.union([size, z.literal('auto')])),
  mamba_n_groups: optional(size),
  mamba_d_state: optional(size),
  mamba_d_conv: optional(size),
  mamba_expand: optional(z.number().positive()),
  mamba_conv_bias: optional(z.boolean()),
  mamba_proj_bias: optional(z.boolean()),
  time_step_limit: optional(z.array(z.union([z.number(), z.looseObject({})]).nullable())),
});

/** What their MLPs are called, where not as usual. */
export const feedForwardNames = {
  gate: 'feed_forward.gate_proj',
  up: 'feed_forward.up_proj',
  down: 'feed_forward.down_proj',
};

type MambaKeys = z.output<typeof mambaSchema> & { hidden_size: number; hidden_act?: string | null | undefined };

/**
 * The sizes that Mamba-2 is made with. `inner` are its channels, by default `mamba_expand · hidden_size`.
 *
 * @throws Error that names the file and the field.
 */
export function mambaSizes(file: string, json: MambaKeys, inner?: number): Omit<MambaOptions, 'norm'> {
  const channels = inner ?? Math.trunc((json.mamba_expand ?? 2) * json.hidden_size);
  const heads = json.mamba_n_heads ?? 128;
  const given = json.mamba_d_head ?? 'auto';
  const headDim = given === 'auto' ? Math.floor(channels / heads) : given;
  if (headDim * heads !== channels)
    throw new Error(`${file}: mamba_n_heads (${heads}) times mamba_d_head (${headDim}) must be ${channels}`);
  const shape = { heads, headDim, groups: json.mamba_n_groups ?? 1, stateSize: json.mamba_d_state ?? 256 };
  return {
    hiddenSize: json.hidden_size,
    ...checkedHeads(file, 'mamba_n_groups', shape),
    width: json.mamba_d_conv ?? 4,
    convBias: json.mamba_conv_bias ?? true,
    bias: json.mamba_proj_bias ?? false,
    limits: limitsOf(file, json.time_step_limit),
  };
}

type Heads = Pick<MambaOptions, 'heads' | 'headDim' | 'groups' | 'stateSize'>;

/** Far more than any model has. */
const mostChannels = 2 ** 24;

/**
 * Heads as they are, checked.
 *
 * @throws Error that names the file, if heads cannot be shared out among the groups of `key`, or there are far too many.
 */
export function checkedHeads(file: string, key: string, shape: Heads): Heads {
  const { heads, headDim, groups, stateSize } = shape;
  if (heads % groups !== 0) throw new Error(`${file}: ${key} (${groups}) must divide the heads of Mamba (${heads})`);
  if (heads * headDim > mostChannels || groups * stateSize > mostChannels)
    throw new Error(
      `${file}: Mamba must have at most ${mostChannels} channels, got ${heads} heads of ${headDim}, ${groups} groups of ${stateSize}`,
    );
  return shape;
}

/** The limits of a step, where there are any: JSON has no infinity, and transformers writes an object in its place. */
function limitsOf(file: string, limits: z.output<typeof mambaSchema>['time_step_limit']) {
  if (!limits) return undefined;
  const [least, most] = limits;
  const upper = typeof most === 'number' ? most : Number.POSITIVE_INFINITY;
  if (limits.length !== 2 || typeof least !== 'number' || least > upper)
    throw new Error(
      `${file}: time_step_limit must be two numbers, the least and the most, got ${JSON.stringify(limits)}`,
    );
  return least <= 0 && upper === Number.POSITIVE_INFINITY ? undefined : ([least, upper] as const);
}

/** Those keys from the metadata of a GGUF file; its tensors tell which layers are of that kind. */
export function ggufMamba({ gguf, size }: GgufKeys): Record<string, unknown> {
  const layers = Array.from({ length: size('block_count') }, (_, i) => i);
  const recurrent = layers.filter((i) => gguf.tensors.has(`blk.${i}.ssm_a`));
  const heads = size('ssm.time_step_rank');
  return {
    layer_types: layers.map((i) => (recurrent.includes(i) ? 'linear_attention' : 'full_attention')),
    mamba_n_heads: heads,
    mamba_d_head: size('ssm.inner_size') / heads,
    mamba_expand: size('ssm.inner_size') / size('embedding_length'),
    mamba_n_groups: size('ssm.group_count'),
    mamba_d_state: size('ssm.state_size'),
    mamba_d_conv: size('ssm.conv_kernel'),
    mamba_conv_bias: gguf.tensors.has(`blk.${recurrent[0] ?? 0}.ssm_conv1d.bias`),
    mamba_proj_bias: gguf.tensors.has(`blk.${recurrent[0] ?? 0}.ssm_in.bias`),
  };
}
