// Mamba-2's steps: their limits, which no golden has, as transformers keeps to them in prompts alone.
import { expect, it } from 'vitest';
import { device as deviceOf } from '../../lib/core/device.js';
import { decoderConfig } from '../../lib/models/architectures/index.js';
import { Decoder, packed } from '../../lib/models/decoder.js';
import { randomDecoder } from '../../lib/models/load.js';
import { full } from '../../lib/ops/random.js';
import { testDevice } from '../device.js';

const device = deviceOf(testDevice);
const small = {
  model_type: 'granitemoehybrid',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 16,
  shared_intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_local_experts: 0,
  mamba_n_heads: 4,
  mamba_d_state: 8,
};

/** Logits of a model whose steps have this bias. */
async function logitsOf(limits: unknown, bias: number): Promise<number[]> {
  const config = decoderConfig('config.json', { ...small, time_step_limit: limits });
  const { weights } = randomDecoder(config, { device, deviation: 0.5 });
  const biased = new Map([...weights, ['model.layers.0.mamba.dt_bias', full([4], bias, { device })]]);
  const decoder = new Decoder(config, biased, device, 'f32');
  using logits = decoder.logits(decoder.hidden(packed([[3, 1, 4, 1, 5]], device)));
  const numbers = [...(await logits.data())];
  decoder.dispose();
  return numbers;
}

it('the limits of a step bind it, and infinity as transformers writes it is none', async () => {
  const [low, high] = [await logitsOf(undefined, -3), await logitsOf(undefined, 3)];
  expect(low).not.toEqual(high);
  expect(await logitsOf([0.3, 0.3], -3)).toEqual(await logitsOf([0.3, 0.3], 3));
  expect(await logitsOf([2.5, { __float__: 'Infinity' }], -3)).not.toEqual(low);
  expect(await logitsOf([0, { __float__: 'Infinity' }], -3)).toEqual(low);
  expect(await logitsOf([0, null], 3)).toEqual(high);
});
