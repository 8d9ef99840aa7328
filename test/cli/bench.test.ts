// What `helvetia bench` computes with: medians, the named shapes' sizes, and the memory that they take.
import { describe, expect, it } from 'vitest';
import { repeat, spread } from '../../lib/bench/measure.js';
import { timeDecode, timePrefill } from '../../lib/bench/models.js';
import { type ShapeName, shapeNames, shapes } from '../../lib/bench/shapes/index.js';
import { checkMemory, firstLayers } from '../../lib/bench/subject.js';
import { architectures, decoderConfig } from '../../lib/models/architectures/index.js';
import {
  activeParameterCount,
  bytesPerToken,
  layerFlops,
  parameterCount,
  weightBytes,
} from '../../lib/models/config.js';
import { sequenceBytes } from '../../lib/models/memory.js';
import { smallDecoder } from '../train/small.js';

const config = (name: ShapeName) => decoderConfig(name, shapes[name]);

describe('measuring', () => {
  it('gives the median with its spread', () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, repeats: 3 });
    expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4, repeats: 4 });
    expect(() => spread([])).toThrow(RangeError);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => spread([1, wrong])).toThrow(`bench: a measurement gave ${wrong}: measure more work`);
  });

  it('does not count the warm-up, and stops when it is told to', async () => {
    let calls = 0;
    expect(await repeat({ repeats: 3, warmup: 2 }, async () => ++calls)).toMatchObject({
      median: 4,
      min: 3,
      repeats: 3,
    });
    const stopped = new AbortController();
    const once = async (): Promise<number> => {
      stopped.abort(new Error('enough'));
      return 1;
    };
    await expect(repeat({ repeats: 3, warmup: 0, signal: stopped.signal }, once)).rejects.toThrow('enough');
  });
});

describe('a model', () => {
  it('is not timed where a prompt leaves no room for what is to be measured', async () => {
    const decoder = smallDecoder();
    const { contextLength } = decoder.config;
    const once = { repeats: 1, warmup: 0 };
    const full = `do not fit into ${contextLength} tokens`;
    await expect(timePrefill(decoder, { ...once, tokens: contextLength })).rejects.toThrow(full);
    await expect(timeDecode(decoder, { ...once, promptTokens: contextLength - 4, tokens: 5 })).rejects.toThrow(full);
    expect((await timePrefill(decoder, { ...once, tokens: contextLength - 1 })).median).toBeGreaterThan(0);
    decoder.dispose();
  });

  it('has no rate of one token: nothing is between it and the next', async () => {
    const decoder = smallDecoder();
    const one = { repeats: 1, warmup: 0, promptTokens: 4, tokens: 1 };
    await expect(timeDecode(decoder, one)).rejects.toThrow(/a measurement gave NaN/);
    decoder.dispose();
  });
});

describe('named shapes', () => {
  // What their sizes add up to.
  const counts: Record<ShapeName, number> = {
    'smollm2-135m': 134_515_008,
    'llama-3.2-1b': 1_235_814_400,
    'llama-3.1-8b': 8_030_261_248,
    'mistral-small-24b': 23_572_403_200,
    'ministral-3-3b': 3_429_006_336,
    'qwen2.5-0.5b': 494_032_768,
    'qwen3-0.6b': 596_049_920,
    'gemma-2b': 2_506_172_416,
    'phi-4-mini': 3_836_021_760,
    'smollm3-3b': 3_075_098_624,
    'seed-oss-36b': 36_151_104_512,
    'olmo-2-1b': 1_484_916_736,
    'exaone-4.0-1.2b': 1_279_391_488,
    'hunyuan-1.8b': 1_791_080_448,
    'ernie-4.5-0.3b': 360_748_032,
    'granite-3.1-2b': 2_533_531_648,
    'granite-4.0-micro': 3_402_836_480,
    'glm-4-9b': 9_399_951_360,
    'glm-4-9b-0414': 9_400_279_040,
    'aya-expanse-8b': 8_028_033_024,
    'minitron-4b': 4_190_509_056,
    gpt2: 124_439_808,
    'pythia-1b': 1_011_781_632,
    'mistral-7b': 7_241_732_096,
    'ministral-8b': 8_019_808_256,
    'gemma-2-2b': 2_614_341_888,
    'gemma-3-1b': 999_885_952,
    'gemma-3n-e2b': 4_435_182_688,
    'gemma-4-e2b': 4_628_569_379,
    'gemma-4-12b': 11_907_350_320,
    'gemma-4-31b': 30_697_345_340,
    'olmo-3-7b': 7_298_011_136,
    'command-r7b': 8_028_033_024,
    'starcoder2-3b': 3_030_371_328,
    'mixtral-8x7b': 46_702_792_704,
    'qwen1.5-moe-a2.7b': 14_315_784_192,
    'qwen3-30b-a3b': 30_532_122_624,
    'olmoe-1b-7b': 6_919_161_856,
    'granite-3.1-1b-a400m': 1_334_628_352,
    'hunyuan-a13b': 80_393_183_232,
    'ernie-4.5-21b-a3b': 21_825_437_888,
    'glm-4.5-air': 106_852_251_264,
    'minimax-m2': 228_689_764_864,
    'gemma-4-26b-a4b': 25_233_141_790,
    'gpt-oss-20b': 20_914_757_184,
    'deepseek-v2-lite': 15_706_484_224,
    'deepseek-v3': 671_026_419_200,
    'glm-4.7-flash': 29_943_393_920,
    'mistral-small-4': 118_972_826_624,
    'qwen3.5-0.8b': 752_393_024,
    'qwen3.5-4b': 4_205_751_296,
    'qwen3.5-35b-a3b': 34_660_610_688,
    'qwen3-next-80b-a3b': 79_674_391_296,
    'lfm2-1.2b': 1_170_340_608,
    'granite-4.0-h-tiny': 6_939_037_248,
    'falcon-h1-0.5b': 521_411_104,
    'lfm2-8b-a1b': 8_339_930_560,
    'nemotron-nano-9b-v2': 8_888_227_328,
    'nemotron-3-nano-30b-a3b': 31_577_940_288,
    'bamba-9b': 9_780_235_392,
  };

  it.each(Object.entries(counts) as [ShapeName, number][])('%s has %d parameters', (name, size) => {
    expect(parameterCount(config(name))).toBe(size);
    expect(weightBytes(config(name), 'bf16')).toBe(2 * size);
  });

  it('are what --shape offers, one at least of each architecture that writes text', () => {
    expect(shapeNames).toEqual(Object.keys(counts));
    const types = new Set<string>(Object.values(shapes).map(({ model_type }) => model_type));
    const missing = architectures.filter((each) => !each.encoder && !each.types.some((type) => types.has(type)));
    expect(missing.map((each) => each.types[0])).toEqual([]);
  });

  it('are cut to their first layers', () => {
    const whole = config('qwen3.5-4b');
    const cut = firstLayers('qwen3.5-4b', whole, 4);
    expect(cut.layers).toEqual(whole.layers.slice(0, 4));
    expect(parameterCount(cut)).toBeLessThan(parameterCount(whole));
    expect(firstLayers('qwen3.5-4b', whole).layers).toEqual(whole.layers);
    expect(() => firstLayers('qwen3.5-4b', whole, 33)).toThrow(
      'layers: qwen3.5-4b has 32 layers, and 33 were asked for',
    );
  });

  it('count the experts that a token has alone', () => {
    expect(activeParameterCount(config('mixtral-8x7b'))).toBe(12_879_925_248);
    expect(activeParameterCount(config('qwen3-30b-a3b'))).toBe(3_353_032_704);
    expect(activeParameterCount(config('qwen3-next-80b-a3b'))).toBe(3_874_929_408);
    expect(activeParameterCount(config('gpt-oss-20b'))).toBe(4_187_440_704);
    // Without the embedding, of which a token reads one row.
    expect(bytesPerToken(config('qwen3-30b-a3b'), 'bf16')).toBe(2 * (3_353_032_704 - 151_936 * 2048));
    const small = config('smollm2-135m');
    expect(activeParameterCount(small)).toBe(parameterCount(small));
    // Of per-layer embeddings a token has one row.
    expect(activeParameterCount(config('gemma-4-e2b'))).toBe(4_628_569_379 - (262_144 - 1) * 35 * 256);
  });

  it('say what a sequence keeps: of a window no more than it holds, of a state always the same', () => {
    const token = (layers: number, heads: number, size: number) => layers * heads * size * 2 * 2;
    const [windows, delta] = [config('gemma-3-1b'), config('qwen3.5-4b')];
    expect(sequenceBytes(windows, 'bf16', 8192)).toBe(8192 * token(4, 1, 256) + (512 + 32) * token(22, 1, 256));
    // Fifteen layers make keys and values, which the other twenty read.
    const shared = 8192 * token(3, 1, 512) + (512 + 32) * token(12, 1, 256);
    expect(sequenceBytes(config('gemma-4-e2b'), 'bf16', 8192)).toBe(shared);
    // 24 states of 32 heads of 128 × 128 numbers, and three columns of q, k and v, in f32.
    const states = 24 * 4 * (32 * 128 * 128 + 3 * (2 * 16 + 32) * 128);
    expect(sequenceBytes(delta, 'bf16', 64)).toBe(64 * token(8, 4, 256) + states);
    expect(sequenceBytes(delta, 'bf16', 8192)).toBe(8192 * token(8, 4, 256) + states);
  });

  it('are refused in one sentence where memory is short', () => {
    const big = config('llama-3.1-8b');
    expect(() => checkMemory('llama-3.1-8b', big, 'bf16', 16e9)).toThrow(
      'llama-3.1-8b takes 17.1 GB in bf16, but only 16.0 GB of memory are free',
    );
    expect(() => checkMemory('llama-3.1-8b', big, 'bf16', 24e9)).not.toThrow();
    expect(() => checkMemory('smollm2-135m', config('smollm2-135m'), 'f32', 1e9)).not.toThrow();
  });

  it('count their operations', () => {
    const small = config('smollm2-135m');
    // Weights that are used once per token, two operations each; the embedding is a look-up, but also the output.
    expect(layerFlops(small, 1).products + small.head.flops).toBe(2 * (134_515_008 - 61 * 576));
    expect(layerFlops(small, 1).mixing).toBe(4 * 30 * 9 * 64);
    expect(layerFlops(small, 3).mixing).toBe(4 * 30 * 9 * 64 * 6);
  });
});
