// Integer formats. A boolean is a byte that holds 0 or 1.
#pragma once
#include <cstdint>

#define FORMATS_integer(FORMAT) \
  FORMAT(i32, "i32", int32_t)   \
  FORMAT(u8, "u8", uint8_t)     \
  FORMAT(boolean, "bool", uint8_t)
