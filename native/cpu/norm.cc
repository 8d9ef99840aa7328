// RMSNorm and LayerNorm over the last axis, and their gradients.
//
//   rmsNorm    out = n · (weight + shift),   n = x / sqrt(mean(x²) + eps)
//   layerNorm  out = n · weight + bias,      n = (x - mean(x)) / sqrt(variance(x) + eps)
//   dx = (g - mean(g) - n · mean(g · n)) / sqrt(…)   with g = dout · (weight + shift); rmsNorm has no mean(g)
//   dweight = Σ rows dout · n,   dbias = Σ rows dout
//
//   x, out, dout, dx  [rows, cols]   contiguous
//   weight, bias      [cols]
//
// One thread per row. The sums over rows are taken in blocks of rows that depend on the shape alone, then block after
// block, so they do not change with the number of threads. Sums are f32 in 64 partial sums (AVX-512) per row.
#include "../kernels/norm.h"
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t grain = 8192;  // elements that are worth a thread
int64_t rowGrain(int64_t cols) { return cols >= grain ? 1 : grain / (cols + 1) + 1; }

// A vector of parameters as f32, with `shift` added.
class Parameters {
 public:
  Parameters(const View& from, int64_t cols, float shift) : widened_(cols) {
    values_ = readRow(from, 0, cols, widened_);
    if (shift == 0) return;
    for (int64_t i = 0; i < cols; i++) widened_[i] = values_[i] + shift;
    values_ = widened_;
  }
  operator const float*() const { return values_; }

 private:
  Scratch<float> widened_;
  const float* values_;
};

float meanOf(const float* x, int64_t cols) {
  Floats sums[slots] = {};
  eachRegister(cols, [&](int64_t i, auto access, int slot) { sums[slot] += access.load(x + i); });
  return sumSlots(sums) / float(cols);
}

// mean((x - center)²)
float meanSquare(const float* x, int64_t cols, float center) {
  Floats sums[slots] = {};
  const int64_t whole = cols / lanes * lanes;
  eachRegister(whole, [&](int64_t i, auto access, int slot) {
    const Floats d = access.load(x + i) - center;
    sums[slot] += d * d;
  });
  float sum = sumSlots(sums);
  for (int64_t i = whole; i < cols; i++) sum += (x[i] - center) * (x[i] - center);
  return sum / float(cols);
}

// What both norms share: a row becomes (x - center) · scale.
struct Normal {
  float center, scale;
};

template <bool centered>
Normal normalOf(const float* x, int64_t cols, float eps) {
  const float center = centered ? meanOf(x, cols) : 0;
  return {center, 1 / std::sqrt(meanSquare(x, cols, center) + eps)};
}

template <bool centered>
void forward(Device& device, const View& out, const View& x, const float* weight, const float* bias, float eps) {
  const int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0 || cols == 0) return;
  const Scratch<float> buffers(device.threads * cols * 2);
  device.parallelRanges(rows, rowGrain(cols), [&](int64_t begin, int64_t end, int thread) {
    float* buffer = buffers + thread * cols * 2;
    for (int64_t row = begin; row < end; row++) {
      const float* from = readRow(x, row * cols, cols, buffer);
      float* to = rowFor(out, row * cols, buffer + cols);
      const Normal normal = normalOf<centered>(from, cols, eps);
      eachRegister(cols, [&](int64_t i, auto access, int) {
        Floats y = (access.load(from + i) - normal.center) * normal.scale * access.load(weight + i);
        if constexpr (centered) y += access.load(bias + i);
        access.store(to + i, y);
      });
      writeRow(out, row * cols, to, cols);
    }
  });
}

// Rows that one partial sum of dweight covers: at most 64 partial sums, none of fewer than 16 rows.
int64_t rowsPerBlock(int64_t rows) { return rows > 64 * 16 ? (rows + 63) / 64 : 16; }

// out[i] = Σ blocks partial[block][i]
void sumBlocks(Device& device, const View& out, const float* partial, int64_t blocks, int64_t stride, int64_t cols) {
  const Scratch<float> buffer(cols);
  float* to = rowFor(out, 0, buffer);
  device.parallelRanges(cols, 1024, [&](int64_t begin, int64_t end, int) {
    eachRegister(end - begin, [&](int64_t i, auto access, int) {
      Floats sum{};
      for (int64_t block = 0; block < blocks; block++) sum += access.load(partial + block * stride + begin + i);
      access.store(to + begin + i, sum);
    });
  });
  writeRow(out, 0, to, cols);
}

template <bool centered>
void backward(Device& device, const View& dx, const View& dweight, const View& dbias, const View& dout, const View& x,
              const float* weight, float eps) {
  const int64_t rows = x.rows(), cols = x.cols();
  const int64_t height = rowsPerBlock(rows), blocks = (rows + height - 1) / height;
  const bool sums = dweight || dbias;
  const Scratch<float> partial(sums ? blocks * cols * 2 : 0);
  const Scratch<float> buffers(device.threads * cols * 3);
  // Without gradients of parameters, rows are shared out more finely than blocks.
  const int64_t step = sums ? height : 1, count = sums ? blocks : rows;
  device.parallelRanges(count, sums ? 1 : rowGrain(cols), [&](int64_t begin, int64_t end, int thread) {
    float* buffer = buffers + thread * cols * 3;
    for (int64_t block = begin; block < end; block++) {
      float* dw = sums ? partial + block * cols * 2 : nullptr;
      float* db = sums ? dw + cols : nullptr;
      if (sums) std::memset(dw, 0, size_t(cols) * 8);
      for (int64_t row = block * step; row < (block + 1) * step && row < rows; row++) {
        const float* from = readRow(x, row * cols, cols, buffer);
        const float* grad = readRow(dout, row * cols, cols, buffer + cols);
        float* to = rowFor(dx, row * cols, buffer + 2 * cols);
        const Normal normal = normalOf<centered>(from, cols, eps);
        Floats sumsG[slots] = {}, sumsGn[slots] = {};
        eachRegister(cols, [&](int64_t i, auto access, int slot) {
          const Floats n = (access.load(from + i) - normal.center) * normal.scale;
          const Floats d = access.load(grad + i), g = d * access.load(weight + i);
          sumsGn[slot] += g * n;
          if constexpr (centered) sumsG[slot] += g;
          if (!sums) return;
          access.store(dw + i, access.load(dw + i) + d * n);
          if constexpr (centered) access.store(db + i, access.load(db + i) + d);
        });
        const float meanG = centered ? sumSlots(sumsG) / float(cols) : 0, meanGn = sumSlots(sumsGn) / float(cols);
        eachRegister(cols, [&](int64_t i, auto access, int) {
          const Floats n = (access.load(from + i) - normal.center) * normal.scale;
          const Floats g = access.load(grad + i) * access.load(weight + i);
          access.store(to + i, (g - meanG - n * meanGn) * normal.scale);
        });
        writeRow(dx, row * cols, to, cols);
      }
    }
  });
  if (dweight) sumBlocks(device, dweight, partial, blocks, cols * 2, cols);
  if (dbias) sumBlocks(device, dbias, partial + cols, blocks, cols * 2, cols);
}

}  // namespace

void rmsNorm(Device& device, Out out, In x, In weight, float eps, float shift) {
  forward<false>(device, out, x, Parameters(weight, x.cols(), shift), nullptr, eps);
}

void rmsNormBackward(Device& device, Out dx, Out dweight, In dout, In x, In weight, float eps, float shift) {
  backward<false>(device, dx, dweight, {}, dout, x, Parameters(weight, x.cols(), shift), eps);
}

void layerNorm(Device& device, Out out, In x, In weight, In bias, float eps) {
  forward<true>(device, out, x, Parameters(weight, x.cols(), 0), Parameters(bias, x.cols(), 0), eps);
}

void layerNormBackward(Device& device, Out dx, Out dweight, Out dbias, In dout, In x, In weight, float eps) {
  backward<true>(device, dx, dweight, dbias, dout, x, Parameters(weight, x.cols(), 0), eps);
}

}  // namespace cpu::CPU_ISA
