// A GGUF model seen as a Hugging Face folder: names, row order, config.

import { describe, expect, it } from 'vitest';
import { openWeights } from '../../lib/files/folder-weights.js';
import { openGguf, readGguf } from '../../lib/files/gguf.js';
import { architectures, decoderConfig } from '../../lib/models/architectures/index.js';
import { weightsOf } from '../../lib/models/config.js';
import { ggufConfig } from '../../lib/models/gguf.js';
import { pairedRows } from '../../lib/parts/projections.js';
import { GgufBytes, memoryFile, sharedData, smallGguf } from '../files/memory.js';

const read = (file: Uint8Array | GgufBytes) =>
  readGguf(memoryFile('x.gguf', file instanceof GgufBytes ? file.done() : file));

describe('names', () => {
  const small = {
    model_type: 'llama',
    vocab_size: 32,
    hidden_size: 8,
    intermediate_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    attention_bias: true,
  };

  it('are those of the checkpoint and of the file', () => {
    const pairs = {
      'token_embd.weight': 'model.embed_tokens.weight',
      'output_norm.weight': 'model.norm.weight',
      'output.weight': 'lm_head.weight',
      'blk.0.attn_norm.weight': 'model.layers.0.input_layernorm.weight',
      'blk.1.attn_q.weight': 'model.layers.1.self_attn.q_proj.weight',
      'blk.1.attn_k.bias': 'model.layers.1.self_attn.k_proj.bias',
      'blk.1.attn_v.weight': 'model.layers.1.self_attn.v_proj.weight',
      'blk.1.attn_output.weight': 'model.layers.1.self_attn.o_proj.weight',
      'blk.1.ffn_norm.weight': 'model.layers.1.post_attention_layernorm.weight',
      'blk.1.ffn_gate.weight': 'model.layers.1.mlp.gate_proj.weight',
      'blk.1.ffn_up.weight': 'model.layers.1.mlp.up_proj.weight',
      'blk.1.ffn_down.weight': 'model.layers.1.mlp.down_proj.weight',
    };
    const weights = new Map(weightsOf(decoderConfig('config.json', small)).map(({ name, gguf }) => [name, gguf]));
    for (const [name, hf] of Object.entries(pairs)) {
      expect(weights.get(hf)?.name).toBe(name);
      expect(weights.get(hf)?.rows !== undefined).toBe(/attn_[qk]\./.test(name));
    }
    expect(weights.size).toBe(3 + 2 * 13);
  });

  it('undo the row order of the converter', () => {
    // The converter, as it is described: each head's rows as [2, headDim/2], the two axes swapped.
    const heads = 3;
    const headDim = 6;
    const file: number[] = [];
    for (let head = 0; head < heads; head++) {
      for (let j = 0; j < headDim / 2; j++)
        for (let s = 0; s < 2; s++) file.push(head * headDim + s * (headDim / 2) + j);
    }
    expect([...pairedRows(heads, headDim)].map((row) => file[row])).toEqual(Array.from({ length: 18 }, (_, i) => i));
    expect(() => pairedRows(1, 5)).toThrow(RangeError);
  });
});

describe('ggufConfig', () => {
  it('has the keys of Hugging Face', () => {
    expect(ggufConfig(read(smallGguf()))).toEqual({
      model_type: 'llama',
      vocab_size: 3,
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 16,
      max_position_embeddings: 64,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      rope_scaling: null,
      hidden_act: 'silu',
      attention_bias: false,
      mlp_bias: false,
      tie_word_embeddings: true,
      bos_token_id: null,
      eos_token_id: null,
      pad_token_id: null,
    });
  });

  const model = (more: (file: GgufBytes) => GgufBytes, keys: number, tensors = 0) => {
    const file = new GgufBytes().header(tensors, 6 + keys).text('general.architecture', 'llama');
    file.number('llama.embedding_length', 64).number('llama.block_count', 1).number('llama.context_length', 131072);
    file.number('llama.feed_forward_length', 64).number('llama.attention.head_count', 4);
    return more(file);
  };
  const norm = (file: GgufBytes) =>
    file.number('llama.attention.layer_norm_rms_epsilon', 1e-6).number('llama.vocab_size', 9);
  const scaling = (more: (file: GgufBytes) => GgufBytes, keys: number) =>
    ggufConfig(read(model((file) => more(norm(file)), 2 + keys))).rope_scaling;

  it('takes head sizes, several end tokens and an output of its own', () => {
    const file = model(
      (start) =>
        norm(start)
          .number('llama.attention.key_length', 32)
          .number('llama.attention.value_length', 32)
          .number('llama.rope.dimension_count', 32)
          .number('tokenizer.ggml.eos_token_id', 2)
          .number('tokenizer.ggml.eot_token_id', 4)
          .number('tokenizer.ggml.eom_token_id', 2)
          .tensor('output.weight', [0], 0, 0)
          .pad(32),
      8,
      1,
    );
    expect(ggufConfig(read(file))).toMatchObject({
      head_dim: 32,
      eos_token_id: [2, 4],
      tie_word_embeddings: false,
    });
  });

  it('takes a rope of a part of each head, so that the same number of channels comes out again', () => {
    for (const [rotary, headDim] of [
      [4, 8],
      [30, 44],
    ] as const) {
      const file = model(
        (start) =>
          norm(start).number('llama.attention.key_length', headDim).number('llama.rope.dimension_count', rotary),
        4,
      );
      const { partial_rotary_factor: factor } = ggufConfig(read(file));
      expect(Math.floor(headDim * Number(factor))).toBe(rotary);
    }
  });

  it('takes linear and YaRN scaling', () => {
    expect(scaling((file) => file.number('llama.rope.scale_linear', 4), 1)).toEqual({
      rope_type: 'linear',
      factor: 4,
    });
    const typed = (type: string) => (file: GgufBytes) =>
      file.text('llama.rope.scaling.type', type).number('llama.rope.scaling.factor', 8);
    expect(scaling(typed('none'), 2)).toBeNull();
    expect(scaling(typed('linear'), 2)).toEqual({ rope_type: 'linear', factor: 8 });
    expect(
      scaling((file) => typed('yarn')(file).number('llama.rope.scaling.original_context_length', 4096), 3),
    ).toEqual({
      rope_type: 'yarn',
      factor: 8,
      original_max_position_embeddings: 4096,
    });
    const multiplied = (type: string, factor: number) =>
      scaling((file) => typed(type)(file).number('llama.rope.scaling.attn_factor', factor), 3);
    expect(multiplied('linear', 1)).toEqual({ rope_type: 'linear', factor: 8 });
    expect(() => multiplied('linear', 2)).toThrow('llama.rope.scaling.attn_factor is 2, which is supported with yarn');
    expect(multiplied('yarn', 2)).toMatchObject({ attention_factor: 2 * (1 + 0.1 * Math.log(8)) });
    expect(() => scaling(typed('longrope'), 2)).toThrow(
      'llama.rope.scaling.type must be one of none, linear, yarn, got "longrope"',
    );
  });

  it('takes divisors of frequencies, one list for all texts or two', () => {
    const withDivisors = (lists: Record<string, readonly number[]>) =>
      ggufConfig(
        read(
          model(
            (file) => {
              norm(file).number('llama.rope.scaling.original_context_length', 4096);
              let offset = 0;
              for (const [name, values] of Object.entries(lists)) {
                file.tensor(`${name}.weight`, [values.length], 0, offset);
                offset += 64;
              }
              for (const values of Object.values(lists)) {
                file.pad(32);
                for (const value of [...values, ...new Array<number>(16 - values.length).fill(0)]) file.f32(value);
              }
              return file;
            },
            3,
            Object.keys(lists).length,
          ),
        ),
      ).rope_scaling;
    const [one, two] = [
      [1, 1, 1.5, 2, 3.25, 8, 8, 8],
      [1, 2, 3, 4, 5, 6, 7, 8],
    ];
    const rest = { rope_type: 'longrope', original_max_position_embeddings: 4096, attention_factor: 1 };
    expect(withDivisors({ rope_freqs: one })).toEqual({ ...rest, short_factor: one, long_factor: one });
    expect(withDivisors({ rope_factors_long: two, rope_factors_short: one })).toEqual({
      ...rest,
      short_factor: one,
      long_factor: two,
    });
    expect(() => withDivisors({ rope_factors_long: two })).toThrow(
      'tensor "rope_factors_short.weight" must be F32 [8], got none',
    );
    expect(() => withDivisors({ rope_freqs: one.slice(1) })).toThrow('must be F32 [8], got f32 [7]');
    expect(() => withDivisors({ rope_freqs: one.map(() => Number.NaN) })).toThrow('must hold numbers above 0');
  });

  it('takes sizes that stand for each layer, 0 where it has no such part, if there is one', () => {
    const heads = (...each: number[]) =>
      model((file) => {
        norm(file).string('llama.attention.head_count_kv').u32(9).u32(4).u64(each.length);
        for (const count of each) file.u32(count);
        return file;
      }, 3);
    expect(ggufConfig(read(heads(0, 2, 0, 2))).num_key_value_heads).toBe(2);
    const refused =
      'x.gguf: llama.attention.head_count_kv must be a positive integer, or 0, and the same in all layers that have it';
    for (const each of [[0, 2, 1], [0, 0], []]) expect(() => ggufConfig(read(heads(...each)))).toThrow(refused);
  });

  it('names the key that is missing, wrong or not supported', () => {
    const config = (more: (file: GgufBytes) => GgufBytes, keys: number) => () => ggufConfig(read(model(more, keys)));
    expect(config((file) => file, 0)).toThrow('x.gguf: llama.attention.layer_norm_rms_epsilon is missing');
    expect(config((file) => file.number('llama.attention.layer_norm_rms_epsilon', 1e-6), 1)).toThrow(
      'x.gguf: llama.vocab_size must be a positive integer, but is missing',
    );
    expect(config((file) => norm(file).number('llama.expert_count', 8), 3)).toThrow(
      'x.gguf: llama.expert_used_count must be a positive integer, but is missing',
    );
    expect(config((file) => norm(file).text('llama.attention.head_count_kv', 'x'), 3)).toThrow(
      'llama.attention.head_count_kv must be a number, got "x"',
    );
    expect(
      config((file) => norm(file).number('llama.attention.key_length', 8).number('llama.rope.dimension_count', 10), 4),
    ).toThrow('llama.rope.dimension_count is 10, more than the head size 8');
    const known = [...new Set(architectures.flatMap(({ gguf }) => gguf.map(({ name }) => name)))].join(', ');
    expect(() => ggufConfig(read(new GgufBytes().header(0, 1).text('general.architecture', 'mamba')))).toThrow(
      `x.gguf: general.architecture must be one of ${known}, got "mamba"`,
    );
    expect(() => ggufConfig(read(new GgufBytes().header(0, 0)))).toThrow(`must be one of ${known}, it is missing`);
  });
});

const gguf = sharedData('stories260K/stories260K-f32.gguf');
const hf = sharedData('stories260K/hf');
it.skipIf(!gguf || !hf)(
  `reads the same numbers as the Hugging Face folder${gguf && hf ? '' : ' (skipped: shared data is missing)'}`,
  () => {
    using file = openGguf(gguf as string);
    using folder = openWeights(hf as string);
    const weights = weightsOf(decoderConfig('file', ggufConfig(file)));
    expect(new Set(weights.map(({ name }) => name))).toEqual(new Set(folder.tensors.keys()));
    expect(new Set(weights.map(({ gguf }) => gguf.name))).toEqual(new Set(file.tensors.keys()));
    for (const { name, gguf } of weights) {
      const { shape } = file.tensors.get(gguf.name)!;
      expect(shape).toEqual(folder.tensors.get(name)?.shape);
      const bytes = file.read(gguf.name);
      const rows = gguf.rows ? [...gguf.rows] : Array.from({ length: shape[0] ?? 0 }, (_, i) => i);
      const rowBytes = bytes.length / rows.length;
      const reordered = Buffer.concat(rows.map((row) => bytes.subarray(row * rowBytes, (row + 1) * rowBytes)));
      expect(reordered.equals(folder.read(name)), name).toBe(true);
    }
  },
);
