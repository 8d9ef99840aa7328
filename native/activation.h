// What happens to the sums of a product, in the order of lib/ops/matmul.ts.
#pragma once
#include <cstdint>

enum class Activation : uint8_t { none, silu, gelu, geluTanh };
