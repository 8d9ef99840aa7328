// Requests as the tests of the engine make them.
import type { Engine, EngineRequest, EngineToken } from '../../lib/engine/engine.js';
import type { Model } from '../../lib/model.js';
import { type GenerateOptions, settingsOf } from '../../lib/text/options.js';
import { isEmulated } from '../device.js';

export { modelPath as folder } from '../repository-model.js';
export const prompt = Array.from({ length: 50 }, (_, i) => 10 + ((i * i) % 700));

/** Tokens of an answer, unless a test says otherwise; and of one that others come beside. */
export const produced = isEmulated ? 8 : 16;
export const long = isEmulated ? 12 : 60;

export type Asked = GenerateOptions & Partial<EngineRequest>;

export function request(model: Model, options: Asked = {}): EngineRequest {
  const {
    prompt: ids = prompt,
    adapter,
    client,
    topLogprobs,
    mask,
    signal,
    endIds = [],
    sampling: _,
    ...rest
  } = options;
  const sampling = settingsOf({ maxNewTokens: produced, temperature: 0, ...rest }, model.defaults);
  const { maxNewTokens } = sampling;
  return { prompt: ids, sampling, maxNewTokens, endIds, adapter, client, topLogprobs, mask, signal };
}

export async function tokens(model: Model, engine: Engine, options: Asked = {}): Promise<number[]> {
  const out: EngineToken[] = [];
  for await (const token of engine.submit(request(model, options))) out.push(token);
  return out.map(({ token }) => token);
}

export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));
