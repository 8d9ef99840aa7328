// Embedding: out = weight[ids], and its gradient: dweight[ids] += dout.
//
//   weight, dweight [vocab, dim]    ids i32 [..]    out, dout [.., dim]    last axes side by side, ids contiguous
//
// The backward sorts the tokens by id. Each row of dweight then belongs to one thread, which adds its tokens in their
// order, in f32: no atomics, and the same sum every time.
#include <string>
#include "../kernels/embedding.h"
#include "tools/strided.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t bandWidth = 1024;  // columns of the backward's f32 sums

void checkIds(const In& ids, int64_t vocab) {
  const int32_t* id = ids.data<int32_t>();
  for (int64_t i = 0, count = ids.size(); i < count; i++)
    if (id[i] < 0 || id[i] >= vocab)
      throw std::runtime_error("id " + std::to_string(id[i]) + " (element " + std::to_string(i) +
                               ") is outside the table of " + std::to_string(vocab) + " rows");
}

}  // namespace

void embedding(Device& device, Out out, In weight, In ids) {
  checkIds(ids, weight.shape[0]);
  const int64_t tokens = ids.size(), dim = weight.cols(), step = weight.stride(0);
  if (tokens * dim == 0) return;
  const Run run = converter(out.dtype, weight.dtype);
  device.parallelRanges(tokens, std::max<int64_t>(1, 16384 / dim), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; t++)
      run(at(out, t * dim), 1, at(weight, ids.data<int32_t>()[t] * step), weight.stride(1), dim);
  });
}

void embeddingBackward(Device& device, Out dweight, In dout, In ids) {
  checkIds(ids, dweight.shape[0]);
  const int64_t tokens = ids.size(), dim = dweight.cols(), step = dweight.stride(0);
  if (tokens * dim == 0) return;
  const int32_t* id = ids.data<int32_t>();
  // Ordered by id, then by place; `starts` is where each id's tokens begin.
  Scratch<int64_t> order(tokens), starts(tokens + 1);
  for (int64_t i = 0; i < tokens; i++) order[i] = int64_t(id[i]) << 32 | i;
  std::sort(order.data(), order.data() + tokens);
  int64_t distinct = 0;
  for (int64_t i = 0; i < tokens; i++)
    if (i == 0 || order[i] >> 32 != order[i - 1] >> 32) starts[distinct++] = i;
  starts[distinct] = tokens;

  const Reader<float> readWeight(dweight), read(dout);
  const Run write = converter(dweight.dtype, DType::f32);
  const int64_t bands = (dim + bandWidth - 1) / bandWidth;
  device.parallelRanges(
      distinct * bands, std::max<int64_t>(1, 8192 / std::min(dim, bandWidth)), [&](int64_t begin, int64_t end, int) {
        alignas(64) float sums[bandWidth], buffer[bandWidth];
        for (int64_t item = begin; item < end; item++) {
          const int64_t row = item / bands, left = item % bands * bandWidth, count = std::min(bandWidth, dim - left);
          const int64_t target = (order[starts[row]] >> 32) * step + left;
          readWeight.run(sums, 1, at(dweight, target), 1, count);
          for (int64_t i = starts[row]; i < starts[row + 1]; i++) {
            const float* from = read((order[i] & 0xffffffff) * dim + left, 1, count, buffer);
            for (int64_t c = 0; c < count; c++) sums[c] += from[c];
          }
          write(at(dweight, target), 1, sums, 1, count);
        }
      });
}

}  // namespace cpu::CPU_ISA
