"""Numbers that follow from names, to the same bit as in seeded.ts."""
import math

import numpy
import torch


def hash32(text: str) -> int:
    """FNV-1a."""
    h = 0x811C9DC5
    for byte in text.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return h


def bits(name: str, count: int) -> numpy.ndarray:
    """u32 `[count]`: an integer hash of the name's hash and the index."""
    x = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1) + numpy.uint32(hash32(name))
    x = (x ^ (x >> numpy.uint32(16))) * numpy.uint32(0x7FEB352D)
    x = (x ^ (x >> numpy.uint32(15))) * numpy.uint32(0x846CA68B)
    return x ^ (x >> numpy.uint32(16))


def seeded(name: str, shape, scale: float, offset: float = 0.0) -> torch.Tensor:
    """f32: offset + scale · u, u one of the odd 32nds between -1 and 1."""
    u = ((bits(name, math.prod(shape)) >> numpy.uint32(27)).astype(numpy.float32) * 2 - 31) / 32
    return torch.from_numpy((offset + scale * u).astype(numpy.float32).reshape(shape))


FP4 = numpy.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], numpy.float32)


def seeded_fp4(name: str, shape, scale: float) -> torch.Tensor:
    """f32 `[.., in, out]`: scale · a number of 4 bits · a power of 2 that is the same for 32 neighbours along `in`."""
    rows, cols = shape[-2:]
    at = numpy.arange(math.prod(shape))
    powers = 2.0 ** -((at % cols + at // cols % rows // 32) % 3)
    values = FP4[bits(name, math.prod(shape)) >> numpy.uint32(28)] * (scale * powers).astype(numpy.float32)
    return torch.from_numpy(values.reshape(shape))
