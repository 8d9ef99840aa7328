// The public names of `helvetia/tensor`: tensors, ops with gradients, devices and memory.
export { backward, checkpoint, noGrad } from './core/autograd.js';
export {
  cpuInfo,
  cudaAbsence,
  cudaCount,
  cudaInfo,
  Device,
  device,
  memory,
  resetPeak,
  trimMemory,
} from './core/device.js';
export type { BlockDType, DType } from './core/dtype.js';
export type { MemoryUse } from './core/native.js';
export { Recording, recordCalls } from './core/recording.js';
export { keep, scope } from './core/scope.js';
export { empty, Tensor, type TensorOptions, tensor } from './core/tensor.js';
export * from './ops/adamw.js';
export { type AttentionOptions, attention } from './ops/attention.js';
export { type CausalConvOptions, causalConv } from './ops/conv.js';
export { cast, concat, contiguous, gather, scatterAdd, stack, toDevice, zerosLike } from './ops/copy.js';
export { type GatedDeltaInputs, type GatedScanInputs, gatedDelta, gatedScan } from './ops/delta.js';
export * from './ops/elementwise.js';
export { embedding } from './ops/embedding.js';
export {
  combineExperts,
  type ExpertOrder,
  type Routed,
  type Routing,
  route,
  rowsByExpert,
  sortByExpert,
} from './ops/experts.js';
export { geglu, swiglu } from './ops/gated.js';
export { type GroupedMatmulOptions, groupedMatmul, groupedOuter } from './ops/grouped.js';
export { type LoraGroups, type LoraLinearOptions, loraGrouped, loraLinear, loraMerge } from './ops/lora.js';
export { crossEntropy, linearCrossEntropy } from './ops/loss.js';
export { type Activation, type LinearOptions, linear, type MatmulOptions, matmul } from './ops/matmul.js';
export { layerNorm, rmsNorm } from './ops/norm.js';
export { pagedAppend, pagedAttention } from './ops/paged.js';
export { dequantize } from './ops/quant.js';
export * from './ops/random.js';
export { argmax, argmin, max, mean, min, sum, topk, variance } from './ops/reduce.js';
export { rope } from './ops/rope.js';
export * from './ops/sample.js';
export type { KeptStates, PackedOptions } from './ops/sequences.js';
export { logSoftmax, softmax } from './ops/softmax.js';
export { expand, permute, reshape, select, slice, split, squeeze, transpose, unsqueeze } from './ops/view.js';
