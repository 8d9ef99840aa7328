// Every kernel, once. This list declares it on both devices, binds it to JavaScript, and makes the stub of a build
// without CUDA.
//
// The contract: a kernel writes its `Out`s completely, reads its `In`s, trusts what lib/ops checked, and allocates
// nothing but scratch from its device. Sums are f32 or better whatever the tensors' formats. Floating-point arguments
// may each have their own format unless a comment says otherwise. "contiguous" is the rule, strided the exception.
// An argument marked `?` may be left out.
#pragma once
#include "view.h"

// What happens to the sums of a product, in the order of lib/ops/matmul.ts.
enum class Activation : uint8_t { none, silu, gelu, geluTanh };

// clang-format off
#define KERNELS(KERNEL)                                                                                                \
  /* copy: strided in and out; formats may differ */                                                                   \
  KERNEL(copy, Out out, In x)                                                                                          \
  KERNEL(fill, Out out, double value)                                                                                  \
  /* out[i][j][k] = x[i][index[i][j][k]][k] for axis 1, and so on; all strided; scatterAdd adds src into out */        \
  KERNEL(gather, Out out, In x, In index, int axis)                                                                    \
  KERNEL(scatterAdd, Out out, In src, In index, int axis)                                                              \
  /* random: Philox4x32-10, key = seed, counter = offset + element / 4 */                                              \
  KERNEL(uniform, Out out, double seed, double offset, float low, float high)                                          \
  KERNEL(normal, Out out, double seed, double offset, float mean, float deviation)                                     \
  KERNEL(dropout, Out out, In x, double seed, double offset, float probability)                                        \
  /* elementwise: contiguous unary; binary broadcasts by strides (a stride of 0 repeats) */                            \
  KERNEL(neg, Out out, In x)                                                                                           \
  KERNEL(exp, Out out, In x)                                                                                           \
  KERNEL(log, Out out, In x)                                                                                           \
  KERNEL(sqrt, Out out, In x)                                                                                          \
  KERNEL(rsqrt, Out out, In x)                                                                                         \
  KERNEL(abs, Out out, In x)                                                                                           \
  KERNEL(sin, Out out, In x)                                                                                           \
  KERNEL(cos, Out out, In x)                                                                                           \
  KERNEL(tanh, Out out, In x)                                                                                          \
  KERNEL(sigmoid, Out out, In x)                                                                                       \
  KERNEL(relu, Out out, In x)                                                                                          \
  KERNEL(silu, Out out, In x)                                                                                          \
  KERNEL(gelu, Out out, In x)                                                                                          \
  KERNEL(geluTanh, Out out, In x)                                                                                      \
  KERNEL(siluBackward, Out dx, In dout, In x)                                                                          \
  KERNEL(geluBackward, Out dx, In dout, In x)                                                                          \
  KERNEL(geluTanhBackward, Out dx, In dout, In x)                                                                      \
  KERNEL(affine, Out out, In x, float scale, float shift)                                                              \
  KERNEL(power, Out out, In x, float exponent)                                                                         \
  KERNEL(clamp, Out out, In x, float low, float high)                                                                  \
  KERNEL(add, Out out, In a, In b)                                                                                     \
  KERNEL(sub, Out out, In a, In b)                                                                                     \
  KERNEL(mul, Out out, In a, In b)                                                                                     \
  KERNEL(div, Out out, In a, In b)                                                                                     \
  KERNEL(maximum, Out out, In a, In b)                                                                                 \
  KERNEL(minimum, Out out, In a, In b)                                                                                 \
  KERNEL(equal, Out out, In a, In b)                                                                                   \
  KERNEL(less, Out out, In a, In b)                                                                                    \
  KERNEL(lessEqual, Out out, In a, In b)                                                                               \
  KERNEL(where, Out out, In condition, In a, In b)                                                                     \
  KERNEL(swiglu, Out out, In gate, In up)                                                                              \
  KERNEL(swigluBackward, Out dgate, Out dup, In dout, In gate, In up)                                                  \
  KERNEL(geglu, Out out, In gate, In up)                                                                               \
  KERNEL(gegluBackward, Out dgate, Out dup, In dout, In gate, In up)                                                   \
  /* reduce: `out` has x's rank, with size 1 on each reduced axis; arg* reduce the last axis to i32 */                 \
  KERNEL(sum, Out out, In x)                                                                                           \
  KERNEL(max, Out out, In x)                                                                                           \
  KERNEL(min, Out out, In x)                                                                                           \
  KERNEL(argmax, Out out, In x)                                                                                        \
  KERNEL(argmin, Out out, In x)                                                                                        \
  /* the k largest of each row, the largest first, of equals the first: values [rows, k], places i32 [rows, k] */      \
  KERNEL(topk, Out values, Out places, In x)                                                                           \
  /* matmul: out [.., M, N] = activation(a [.., M, K] x b [.., K, N] + bias? [N]) + residual?; a and b strided, batch  \
     strides may be 0; the residual lies as out does, perhaps in another format, and may be out */                     \
  KERNEL(matmul, Out out, In a, In b, In bias, In residual, Activation activation)                                     \
  /* softmax: last axis */                                                                                             \
  KERNEL(softmax, Out out, In x)                                                                                       \
  KERNEL(softmaxBackward, Out dx, In dout, In out)                                                                     \
  KERNEL(logSoftmax, Out out, In x)                                                                                    \
  KERNEL(logSoftmaxBackward, Out dx, In dout, In out)                                                                  \
  /* norm: last axis; the scale is weight + shift (shift 1 for Gemma); dweight?, dbias? */                             \
  KERNEL(rmsNorm, Out out, In x, In weight, float eps, float shift)                                                    \
  KERNEL(rmsNormBackward, Out dx, Out dweight, In dout, In x, In weight, float eps, float shift)                       \
  KERNEL(layerNorm, Out out, In x, In weight, In bias, float eps)                                                      \
  KERNEL(layerNormBackward, Out dx, Out dweight, Out dbias, In dout, In x, In weight, float eps)                       \
  /* rope: x [tokens, heads, headDim] (token and head strided), positions i32 [tokens], frequencies f32 [rotary / 2];  \
     angles times `sign` (-1 is the gradient), cos and sin times `factor` */                                           \
  KERNEL(rope, Out out, In x, In positions, In frequencies, float factor, float sign, bool interleaved)                \
  /* attention: q [tokens, heads, d], k and v [tokens, kvHeads, d] (token and head strided; on the CPU out and the     \
     gradients too, so that a call may have some of the heads), boundaries i32 [seqs + 1];                             \
     lse f32 [heads, tokens]; window 0 is none, else a query sees itself and window - 1 keys before; softcap 0 is none */ \
  KERNEL(attention, Out out, Out lse, In q, In k, In v, In boundaries, float scale, bool causal, int window, float softcap) \
  KERNEL(attentionBackward, Out dq, Out dk, Out dv, In dout, In q, In k, In v, In out, In lse, In boundaries, float scale, bool causal, int window, float softcap) \
  /* paged KV: caches [blocks, kvHeads, blockSize, d]; slots i32 [tokens] = block * blockSize + place, < 0 skips;      \
     blockTables i32 [seqs, maxBlocks]; lengths i32 [seqs] count the keys, the new ones included; causal always */     \
  KERNEL(pagedAppend, Out kCache, Out vCache, In k, In v, In slots)                                                    \
  KERNEL(pagedAttention, Out out, In q, In kCache, In vCache, In blockTables, In boundaries, In lengths, float scale, int window, float softcap) \
  /* embedding: out [tokens, dim] = weight[ids]; the gradient is added into dweight */                                 \
  KERNEL(embedding, Out out, In weight, In ids)                                                                        \
  KERNEL(embeddingBackward, Out dweight, In dout, In ids)                                                              \
  /* loss: logits = softcap(x [tokens, dim] x weight [vocab, dim] transposed), never stored whole; targets i32, < 0 are left out;  \
     losses, lse f32 and likeliest i32 [tokens]; dx? is the gradient of the plain sum of losses. On the CPU a call takes the     \
     words from `first` on for some of the tokens that have a target, and goes on with what the calls for the words before    \
     it left in losses, lse, sums? f32 [tokens] and, for dx, weighted? f32 [tokens of a call, dim]; a GPU takes all at once.  \
     The backward adds into dweight, on the CPU some words' rows at a time */                                                 \
  KERNEL(linearCrossEntropy, Out losses, Out lse, Out likeliest, Out dx, Out sums, Out weighted, In x, In weight, In targets, float softcap, int token, int tokens, int first, int words) \
  KERNEL(linearCrossEntropyBackward, Out dweight, In dlosses, In x, In weight, In targets, In lse, float softcap, int first, int words) \
  /* lora: out = x W' + bias? + scaling (x A') B' + residual?; hidden [tokens, r] = x A'; W [out, in], A [r, in],      \
     B [out, r]; merge adds scaling B A to the weight */                                                               \
  KERNEL(loraLinear, Out out, Out hidden, In x, In weight, In bias, In residual, In a, In b, float scaling)            \
  KERNEL(loraLinearBackward, Out dx, Out da, Out db, In dout, In x, In weight, In a, In b, In hidden, float scaling)   \
  KERNEL(loraMerge, Out weight, In a, In b, float scaling)                                                             \
  /* many adapters: adds scalings[s] * (x A[s]') B[s]' to out's rows of each slot; a [slots, r, in], b [slots, out, r],  \
     of which slot s uses the first ranks[s], i32 [slots];                                                             \
     order i32 [tokens] = token rows by slot, segments i32 [slots + 1] = where each slot's begin in it; others stay */   \
  KERNEL(loraGrouped, Out out, In x, In a, In b, In ranks, In scalings, In order, In segments)                                   \
  /* quant: block formats to a floating-point one */                                                                   \
  KERNEL(dequantize, Out out, In x)                                                                                    \
  /* sample: options f32 [rows, 4] = temperature (0 is greedy), top-k (0 is off), top-p, min-p; seeds i32 [rows, 2];   \
     steps i32 [rows] is the random counter; a row that holds NaN gives -1, one of nothing but -inf -2; penalize divides or multiplies the logits of seen tokens (< 0 is padding) */ \
  KERNEL(sample, Out tokens, In logits, In options, In seeds, In steps)                                                \
  KERNEL(penalize, Out logits, In tokens, In penalties)                                                                \
  /* adamw: all tensors of one step in one call; gradients times min(1, maxNorm / sqrt(norm?)), norm of squaredNorm */ \
  KERNEL(squaredNorm, Out out, Ins tensors)                                                                            \
  KERNEL(adamw, Outs parameters, Outs moments, Outs variances, Ins gradients, In norm, float maxNorm, double learningRate, double beta1, double beta2, double eps, double weightDecay, double step)
// clang-format on

#define DECLARE_KERNEL(name, ...) void name(Device&, __VA_ARGS__);

// The CPU's kernels are compiled once per instruction set, each time in a namespace of that name.
namespace cpu {
struct Device;
#ifdef CPU_ISA
namespace CPU_ISA {
KERNELS(DECLARE_KERNEL)
}
#endif
}  // namespace cpu

namespace cuda {
struct Device;
KERNELS(DECLARE_KERNEL)
}  // namespace cuda

#undef DECLARE_KERNEL
