// What <cudaTypedefs.h> is on the software GPU: the type of the one driver function that is looked up at run time.
#pragma once
#include "cuda.h"

using PFN_cuTensorMapEncodeTiled_v12000 = CUresult (*)(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank,
                                                       void* globalAddress, const cuuint64_t* globalDim,
                                                       const cuuint64_t* globalStrides, const cuuint32_t* boxDim,
                                                       const cuuint32_t* elementStrides,
                                                       CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                                       CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill);
using PFN_cuTensorMapEncodeTiled = PFN_cuTensorMapEncodeTiled_v12000;
