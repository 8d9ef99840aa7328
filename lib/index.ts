// The public names of `helvetia`, and nothing else. Tensors and ops are in `helvetia/tensor`.
export { cpuInfo, cudaAbsence, memory, trimMemory } from './device.js';
export { resolveModel } from './files/hub.js';
export { Adapter } from './lora/adapter.js';
export type { LoraConfig, LoraOptions } from './lora/config.js';
export { type Generation, type LoadModelOptions, loadModel, Model } from './model.js';
export type { DecoderConfig } from './models/config.js';
export type { MemoryUse } from './native.js';
export { keep, scope } from './scope.js';
export { Stream } from './stream.js';
export type { Tensor } from './tensor.js';
export type { FinishReason, Generated, Piece } from './text/generate.js';
export type { GenerateOptions } from './text/options.js';
export type { ChatMessage } from './text/template.js';
export { Tokenizer } from './text/tokenizer.js';
export type { Finetune } from './train/finetune.js';
export type { TrainStep } from './train/loop.js';
export type { FinetuneOptions } from './train/options.js';
