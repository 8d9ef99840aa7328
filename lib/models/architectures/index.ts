// The architectures that Helvetia runs: a catalogue, one file for each.
import type { Architecture } from '../architecture.js';
import { checkBounds } from '../bounds.js';
import type { DecoderConfig } from '../config.js';
import { cohere } from './cohere.js';
import { cohere2 } from './cohere2.js';
import { bert } from './encoder/bert.js';
import { modernBert } from './encoder/modern-bert.js';
import { nomicBert } from './encoder/nomic-bert.js';
import { xlmRoberta } from './encoder/xlm-roberta.js';
import { ernie } from './ernie.js';
import { exaone4 } from './exaone4.js';
import { gemma } from './gemma/gemma.js';
import { gemma2 } from './gemma/gemma2.js';
import { gemma3, gemmaEmbedding } from './gemma/gemma3.js';
import { gemma3n } from './gemma/gemma3n.js';
import { gemma4 } from './gemma/gemma4.js';
import { gemma4Unified } from './gemma/gemma4-unified.js';
import { glm } from './glm/glm.js';
import { glm4 } from './glm/glm4.js';
import { gptNeox } from './gpt-neox.js';
import { gpt2 } from './gpt2.js';
import { granite } from './granite.js';
import { hunyuan } from './hunyuan.js';
import { bamba } from './hybrid/bamba.js';
import { falconH1 } from './hybrid/falcon-h1.js';
import { graniteHybrid } from './hybrid/granite-hybrid.js';
import { lfm2 } from './hybrid/lfm2.js';
import { lfm2Moe } from './hybrid/lfm2-moe.js';
import { nemotronH } from './hybrid/nemotron-h.js';
import { qwen35 } from './hybrid/qwen3-5.js';
import { qwen35Moe } from './hybrid/qwen3-5-moe.js';
import { qwen3Next } from './hybrid/qwen3-next.js';
import { deepseekV2 } from './latent/deepseek-v2.js';
import { deepseekV3 } from './latent/deepseek-v3.js';
import { glm4MoeLite } from './latent/glm4-moe-lite.js';
import { mistral4 } from './latent/mistral4.js';
import { llama } from './llama.js';
import { ministral } from './ministral.js';
import { ministral3 } from './ministral3.js';
import { mistral } from './mistral.js';
import { ernieMoe } from './mixture/ernie-moe.js';
import { glm4Moe } from './mixture/glm4-moe.js';
import { gptOss } from './mixture/gpt-oss.js';
import { graniteMoe } from './mixture/granite-moe.js';
import { hunyuanMoe } from './mixture/hunyuan-moe.js';
import { minimaxM2 } from './mixture/minimax-m2.js';
import { mixtral } from './mixture/mixtral.js';
import { olmoe } from './mixture/olmoe.js';
import { qwen2Moe } from './mixture/qwen2-moe.js';
import { qwen3Moe } from './mixture/qwen3-moe.js';
import { nemotron } from './nemotron.js';
import { olmo2 } from './olmo2.js';
import { olmo3 } from './olmo3.js';
import { phi3 } from './phi3.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';
import { seedOss } from './seed-oss.js';
import { smollm3 } from './smollm3.js';
import { starcoder2 } from './starcoder2.js';

export const architectures: readonly Architecture[] = [
  llama,
  mistral,
  ministral,
  ministral3,
  qwen2,
  qwen3,
  qwen35,
  qwen35Moe,
  qwen3Next,
  lfm2,
  lfm2Moe,
  falconH1,
  bamba,
  nemotronH,
  gemma,
  gemma2,
  gemma3,
  gemma3n,
  gemma4,
  gemma4Unified,
  phi3,
  smollm3,
  seedOss,
  olmo3,
  olmo2,
  exaone4,
  hunyuan,
  ernie,
  granite,
  graniteHybrid,
  glm,
  glm4,
  cohere,
  cohere2,
  starcoder2,
  nemotron,
  gpt2,
  gptNeox,
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  graniteMoe,
  hunyuanMoe,
  ernieMoe,
  glm4Moe,
  minimaxM2,
  gptOss,
  deepseekV2,
  deepseekV3,
  glm4MoeLite,
  mistral4,
  bert,
  xlmRoberta,
  modernBert,
  nomicBert,
  gemmaEmbedding,
];

/** @throws Error that names the file, and lists what is supported if `model_type` is not. */
export function decoderConfig(file: string, json: Record<string, unknown>): DecoderConfig {
  const type = json.model_type;
  if (typeof type !== 'string')
    throw new Error(`${file}: field 'model_type' must be a string, got ${JSON.stringify(type)}`);
  const found = architectures.find(({ types }) => types.includes(type));
  if (!found) {
    const known = architectures.flatMap(({ types }) => types).join(', ');
    throw new Error(`${file}: model_type '${type}' is not supported; supported: ${known}`);
  }
  checkBounds(file, json);
  return found.decoder(file, json);
}
