// Products of small f32 matrices that lie in cache.
//
// Columns are padded to whole registers; what stands in the padding of b comes out in that of c.
#pragma once
#include "../tools/simd.h"

namespace cpu::CPU_ISA {

inline int64_t padded(int64_t columns) { return (columns + lanes - 1) / lanes * lanes; }

// A matrix by rows, its columns padded.
struct Panel {
  float* data;
  int64_t step;  // from row to row
  float* row(int64_t i) const { return data + i * step; }
  float& operator()(int64_t i, int64_t j) const { return data[i * step + j]; }
};

// Any two-dimensional view of numbers that are read one by one.
struct Factor {
  const float* data;
  int64_t row, col;
  Factor(const Panel& panel) : data(panel.data), row(panel.step), col(1) {}
  Factor(const float* data, int64_t row, int64_t col) : data(data), row(row), col(col) {}
  Factor transposed() const { return {data, col, row}; }
};

// Which inner indices of row i of a product's left factor are not zero.
enum class Filled { all, upToRow, fromRow };

template <int Rows, int Registers, bool Added>
inline void productPart(const Panel& c, const Factor& a, const Panel& b, int64_t row, int64_t col, int64_t from,
                        int64_t to) {
  Floats sums[Rows][Registers];
  for (int r = 0; r < Rows; r++)
    for (int v = 0; v < Registers; v++) sums[r][v] = Added ? load(c.row(row + r) + col + v * lanes) : Floats{};
  for (int64_t k = from; k < to; k++) {
    Floats values[Registers];
    for (int v = 0; v < Registers; v++) values[v] = load(b.row(k) + col + v * lanes);
    for (int r = 0; r < Rows; r++) {
      const Floats factor = splat(a.data[(row + r) * a.row + k * a.col]);
      for (int v = 0; v < Registers; v++) sums[r][v] = fma(factor, values[v], sums[r][v]);
    }
  }
  for (int r = 0; r < Rows; r++)
    for (int v = 0; v < Registers; v++) store(c.row(row + r) + col + v * lanes, sums[r][v]);
}

// c [rows, cols] = a [rows, inner] · b [inner, cols], or added to c. A row's sum runs from the first inner index to the
// last, so that it does not depend on the number of rows.
template <bool Added = false>
inline void product(const Panel& c, const Factor& a, const Panel& b, int64_t rows, int64_t inner, int64_t cols,
                    Filled filled = Filled::all) {
  constexpr int tall = 4;
  for (int64_t row = 0; row < rows; row += tall) {
    const int64_t height = rows - row < tall ? rows - row : tall;
    const int64_t from = filled == Filled::fromRow ? row : 0;
    const int64_t to = filled == Filled::upToRow && row + height < inner ? row + height : inner;
    const auto part = [&](auto wide, int64_t col) {
      constexpr int registers = decltype(wide)::value;
      if (height == tall) return productPart<tall, registers, Added>(c, a, b, row, col, from, to);
      for (int64_t r = 0; r < height; r++) productPart<1, registers, Added>(c, a, b, row + r, col, from, to);
    };
    int64_t col = 0;
    for (; col + 2 * lanes <= cols; col += 2 * lanes) part(std::integral_constant<int, 2>{}, col);
    for (; col < cols; col += lanes) part(std::integral_constant<int, 1>{}, col);
  }
}

inline void transpose(const Panel& to, const Panel& from, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) to(j, i) = from(i, j);
}

}  // namespace cpu::CPU_ISA
