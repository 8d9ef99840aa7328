// Mixture of experts around the experts' own products (formulas in native/cpu/experts.cc).
//
//   route, routeBackward     a warp for each token; scores and choices of its experts lie in shared memory
//   sortByExpert             a block for each expert: it counts the choices of experts before it, then goes through all
//                            choices in their order and numbers its own, by ballots and without atomics
//   combineExperts           a block for each token and band of columns
//   combineExpertsBackward   a block for each token, which goes through the choices; it reduces a dot product for each
//
// Which rows an expert has is known on the device alone: grids depend on shapes, and may be captured.
#include "../kernels/experts.h"
#include "device/fault.cuh"
#include "device/launch.h"
#include "tools/reduce.cuh"
#include "tools/vector.cuh"

namespace cuda {
namespace {

constexpr int tokensAtOnce = 4;  // warps of a block

struct Routing {
  bool sigmoid, normalize;
  float epsilon, least, scale;
};

// The last maximum of a warp: the larger number, then the smaller place. NaN loses, unless there is nothing else.
struct Best {
  float value;
  int place;  // -1 is nothing
};
struct Better {
  __device__ Best operator()(const Best& a, const Best& b) const {
    if (a.place < 0) return b;
    if (b.place < 0) return a;
    const bool aNan = a.value != a.value, bNan = b.value != b.value;
    if (aNan != bNan) return aNan ? b : a;
    if (!aNan && a.value != b.value) return a.value > b.value ? a : b;
    return a.place < b.place ? a : b;
  }
};
__device__ __forceinline__ Best bestOfWarp(Best own) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(wholeWarp, own.value, step), __shfl_xor_sync(wholeWarp, own.place, step)};
    own = Better()(own, other);
  }
  return own;
}

// The best of `count` numbers from `first` on that is not taken; the whole warp calls it.
__device__ __forceinline__ Best largest(const float* x, const bool* taken, int first, int count, int lane) {
  Best own{0, -1};
  for (int i = first + lane; i < first + count; i += 32)
    if (!taken[i]) own = Better()(own, {x[i], i});
  return bestOfWarp(own);
}

// Scores of one token's logits, by a warp.
__device__ __forceinline__ void scoresOf(float* to, const Source& logits, int64_t start, int experts, bool sigmoid,
                                         int lane) {
  float most = -INFINITY, sum = 0;
  for (int i = lane; i < experts; i += 32) {
    const float z = logits[start + i];
    to[i] = sigmoid ? 1 / (1 + __expf(-z)) : z;
    most = Max()(most, z);
  }
  if (sigmoid) return __syncwarp();
  most = warpReduce(most, Max{});
  for (int i = lane; i < experts; i += 32) sum += to[i] = __expf(to[i] - most);
  sum = warpReduce(sum, Sum{});
  for (int i = lane; i < experts; i += 32) to[i] /= sum;
  __syncwarp();
}

// Shared memory of a warp: scores, choices [experts] and flags [experts].
__host__ __device__ constexpr size_t warpBytes(int64_t experts) { return size_t(experts + 3) / 4 * 4 * 9; }

__device__ void keepGroups(float* choice, bool* taken, int experts, int groups, int kept, int best, int lane) {
  const int size = experts / groups;
  for (int i = lane; i < experts; i += 32) taken[i] = false;
  __syncwarp();
  // The sum of group g's best is kept by lane g, 32 groups at most.
  float sum = 0;
  for (int g = 0; g < groups; g++) {
    float total = 0;
    for (int i = 0; i < best; i++) {
      const Best found = largest(choice, taken, g * size, size, lane);
      total += found.value;
      if (lane == 0) taken[found.place] = true;
      __syncwarp();
    }
    if (lane == g) sum = total;
  }
  unsigned stays = 0;
  for (int i = 0; i < kept; i++)
    stays |= 1u << bestOfWarp({sum, lane < groups && !(stays >> lane & 1) ? lane : -1}).place;
  for (int i = lane; i < experts; i += 32)
    if (!(stays >> i / size & 1)) choice[i] = -INFINITY;
  __syncwarp();
}

__global__ void routeTokens(float* weights, int32_t* chosen, Source logits, Source bias, bool biased, int64_t tokens,
                            int experts, int k, Routing routing, int groups, int kept, int best) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int64_t t = int64_t(blockIdx.x) * tokensAtOnce + warp;
  if (t >= tokens) return;
  float* scores = reinterpret_cast<float*>(ptx::sharedMemory() + warp * warpBytes(experts));
  float* choice = scores + (experts + 3) / 4 * 4;
  bool* taken = reinterpret_cast<bool*>(choice + (experts + 3) / 4 * 4);
  scoresOf(scores, logits, t * experts, experts, routing.sigmoid, lane);
  for (int i = lane; i < experts; i += 32) choice[i] = biased ? scores[i] + bias[i] : scores[i];
  __syncwarp();
  if (kept < groups) keepGroups(choice, taken, experts, groups, kept, best, lane);
  for (int i = lane; i < experts; i += 32) taken[i] = false;
  __syncwarp();
  float sum = 0;
  for (int c = 0; c < k; c++) {
    const int place = largest(choice, taken, 0, experts, lane).place;
    sum += scores[place];
    if (lane == 0) {
      taken[place] = true;
      chosen[t * k + c] = place;
    }
    __syncwarp();
  }
  const float divisor = !routing.normalize ? 1 : Max()(routing.least, sum + routing.epsilon);
  for (int c = lane; c < k; c += 32) weights[t * k + c] = routing.scale * (scores[chosen[t * k + c]] / divisor);
}

__global__ void routeGradients(Sink dlogits, Source dweights, Source logits, const int32_t* chosen, int64_t tokens,
                               int experts, int k, Routing routing) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const int64_t t = int64_t(blockIdx.x) * tokensAtOnce + warp;
  if (t >= tokens) return;
  float* scores = reinterpret_cast<float*>(ptx::sharedMemory() + warp * warpBytes(experts));
  float* slopes = scores + (experts + 3) / 4 * 4;
  scoresOf(scores, logits, t * experts, experts, routing.sigmoid, lane);
  for (int i = lane; i < experts; i += 32) slopes[i] = 0;
  __syncwarp();
  float sum = 0, dot = 0;
  for (int c = lane; c < k; c += 32) {
    const float s = scores[chosen[t * k + c]];
    sum += s;
    dot += s * dweights[t * k + c];
  }
  sum = warpReduce(sum, Sum{});
  dot = warpReduce(dot, Sum{});
  const float divisor = !routing.normalize ? 1 : Max()(routing.least, sum + routing.epsilon);
  const float back = routing.normalize && sum + routing.epsilon > routing.least ? dot / divisor / divisor : 0;
  float inner = 0;
  for (int c = lane; c < k; c += 32) {
    const int place = chosen[t * k + c];
    const float slope = routing.scale * (dweights[t * k + c] / divisor - back);
    slopes[place] = slope;
    inner += scores[place] * slope;
  }
  inner = warpReduce(inner, Sum{});
  __syncwarp();
  for (int i = lane; i < experts; i += 32) {
    const float s = scores[i];
    dlogits.store(t * experts + i, routing.sigmoid ? s * (1 - s) * slopes[i] : s * (slopes[i] - inner));
  }
}

constexpr int sortThreads = 256;

struct Count {
  static constexpr int none = 0;
  __device__ int operator()(int a, int b) const { return a + b; }
};

__global__ void sortForExpert(int32_t* rows, int32_t* places, int32_t* segments, const int32_t* chosen, int count,
                              int k, int experts, FaultNote note) {
  int* tallies = reinterpret_cast<int*>(ptx::sharedMemory());  // of each warp
  const int expert = int(blockIdx.x), warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  int before = 0, own = 0;
  for (int i = int(threadIdx.x); i < count; i += sortThreads) {
    const int32_t other = chosen[i];
    if (expert == 0 && (other < 0 || other >= experts)) {
      note(i, other);
      places[i] = 0;
    }
    before += other >= 0 && other < expert;
    own += other == expert;
  }
  const int first = blockReduce(before, tallies, Count());
  __syncthreads();
  const int total = blockReduce(own, tallies, Count());
  if (threadIdx.x == 0) segments[expert] = first;
  if (expert == experts - 1) {
    if (threadIdx.x == 0) segments[experts] = first + total;
    for (int row = first + total + int(threadIdx.x); row < count; row += sortThreads) rows[row] = 0;
  }
  int next = first;
  for (int from = 0; from < count; from += sortThreads) {
    const int i = from + int(threadIdx.x);
    const bool mine = i < count && chosen[i] == expert;
    const unsigned found = __ballot_sync(wholeWarp, mine);
    __syncthreads();
    if (lane == 0) tallies[warp] = __popc(found);
    __syncthreads();
    int row = next + __popc(found & ((1u << lane) - 1));
    for (int w = 0; w < sortThreads / 32; w++) {
      if (w < warp) row += tallies[w];
      next += tallies[w];
    }
    if (!mine) continue;
    places[i] = row;
    rows[row] = i / k;
  }
}

template <int width>
__global__ void combineRows(Sink out, Source x, Source weights, bool weighted, const int32_t* places, Source residual,
                            bool added, int k, int64_t dim, FaultNote note) {
  const int64_t t = blockIdx.x, column = (int64_t(blockIdx.y) * blockDim.x + threadIdx.x) * width;
  if (column >= dim) return;
  float sums[width] = {};
  for (int c = 0; c < k; c++) {
    const int32_t place = places[t * k + c];
    if (place < 0 || place >= note.limit) {
      if (column == 0) note(t * k + c, place);
      continue;
    }
    const float w = weighted ? weights[t * k + c] : 1;
    float v[width];
    x.load(place * dim + column, v);
#pragma unroll
    for (int j = 0; j < width; j++) sums[j] += w * v[j];
  }
  if (added) {
    float v[width];
    residual.load(t * dim + column, v);
#pragma unroll
    for (int j = 0; j < width; j++) sums[j] += v[j];
  }
  out.store(t * dim + column, sums);
}

template <int width>
__global__ void combineGradients(Sink dx, float* dweights, Source dout, Source x, Source weights, const int32_t* places,
                                 int k, int64_t dim, FaultNote note) {
  float* room = reinterpret_cast<float*>(ptx::sharedMemory());
  const int64_t t = blockIdx.x;
  for (int c = 0; c < k; c++) {
    const int32_t place = places[t * k + c];
    if (place < 0 || place >= note.limit) {
      if (threadIdx.x == 0) note(t * k + c, place);
      continue;
    }
    const float w = weights[t * k + c];
    float dot = 0;
    for (int64_t column = int64_t(threadIdx.x) * width; column < dim; column += int64_t(blockDim.x) * width) {
      float grad[width], v[width];
      dout.load(t * dim + column, grad);
      x.load(place * dim + column, v);
#pragma unroll
      for (int j = 0; j < width; j++) {
        dot += grad[j] * v[j];
        grad[j] *= w;
      }
      dx.store(place * dim + column, grad);
    }
    __syncthreads();
    dot = blockReduce(dot, room, Sum{});
    if (threadIdx.x == 0) dweights[t * k + c] = dot;
  }
}

// Threads for rows of `dim` in steps of `width`, whole warps.
unsigned threadsFor(int64_t dim, int width) {
  const int64_t wanted = ceilDiv(ceilDiv(dim, width), 32) * 32;
  return unsigned(wanted < 256 ? wanted : 256);
}

Grid tokensGrid(int64_t tokens, int64_t experts) {
  return {.blocks = dim3(unsigned(ceilDiv(tokens, tokensAtOnce))),
          .threads = dim3(32 * tokensAtOnce),
          .shared = tokensAtOnce * warpBytes(experts)};
}

}  // namespace

void route(Device& device, Out weights, Out chosen, In logits, In bias, bool sigmoid, bool normalize, float epsilon,
           float least, float scale, int groups, int kept, int best) {
  const int64_t tokens = logits.rows(), experts = logits.cols();
  launch(device, routeTokens, tokensGrid(tokens, experts), weights.data<float>(), chosen.data<int32_t>(),
         Source(logits), Source(bias ? View(bias) : View(logits)), bool(bias), tokens, int(experts),
         int(weights.cols()), Routing{sigmoid, normalize, epsilon, least, scale}, groups, kept, best);
}

void routeBackward(Device& device, Out dlogits, In dweights, In logits, In chosen, bool sigmoid, bool normalize,
                   float epsilon, float least, float scale) {
  const int64_t tokens = logits.rows(), experts = logits.cols();
  launch(device, routeGradients, tokensGrid(tokens, experts), Sink(dlogits), Source(dweights), Source(logits),
         chosen.data<const int32_t>(), tokens, int(experts), int(chosen.cols()),
         Routing{sigmoid, normalize, epsilon, least, scale});
}

void sortByExpert(Device& device, Out rows, Out places, Out segments, In chosen) {
  const int experts = int(segments.size()) - 1;
  launch(device, sortForExpert,
         {.blocks = dim3(unsigned(experts)), .threads = dim3(sortThreads), .shared = 32 * sizeof(int)},
         rows.data<int32_t>(), places.data<int32_t>(), segments.data<int32_t>(), chosen.data<const int32_t>(),
         int(chosen.size()), int(chosen.cols()), experts, FaultNote{device.faults, Faults::expertId, experts});
}

void combineExperts(Device& device, Out out, In x, In weights, In places, In residual) {
  const int64_t tokens = out.rows(), dim = out.cols();
  if (tokens * dim == 0) return;
  const auto start = [&](auto kernel, int width) {
    const unsigned threads = threadsFor(dim, width);
    launch(
        device, kernel,
        {.blocks = dim3(unsigned(tokens), unsigned(ceilDiv(ceilDiv(dim, width), threads))), .threads = dim3(threads)},
        Sink(out), Source(x), Source(weights ? View(weights) : View(x)), bool(weights), places.data<const int32_t>(),
        Source(residual ? View(residual) : View(x)), bool(residual), int(places.cols()), dim,
        FaultNote{device.faults, Faults::expertRow, x.rows()});
  };
  if (inEights(out, dim) && inEights(x, dim) && (!residual || inEights(residual, dim))) start(combineRows<8>, 8);
  else start(combineRows<1>, 1);
}

void combineExpertsBackward(Device& device, Out dx, Out dweights, In dout, In x, In weights, In places) {
  const int64_t tokens = dout.rows(), dim = dout.cols();
  if (tokens * places.cols() == 0) return;
  const auto start = [&](auto kernel, int width) {
    launch(device, kernel,
           {.blocks = dim3(unsigned(tokens)), .threads = dim3(threadsFor(dim, width)), .shared = 32 * sizeof(float)},
           Sink(dx), dweights.data<float>(), Source(dout), Source(x), Source(weights), places.data<const int32_t>(),
           int(places.cols()), dim, FaultNote{device.faults, Faults::expertRow, x.rows()});
  };
  if (inEights(dx, dim) && inEights(x, dim) && inEights(dout, dim)) start(combineGradients<8>, 8);
  else start(combineGradients<1>, 1);
}

}  // namespace cuda
