// Mixture of experts around the experts' own products: routing, sorting, and adding up.
//
//   route            score = sigmoid(z) or softmax(z); chosen = the k largest of score + bias; weight = scale · score / D,
//                    D = max(Σ chosen scores + ε, least) or 1
//   routeBackward    d score_i = scale (dw_i / D − Σ score dw / D²) for the chosen, the second part only where D moves;
//                    dz = score (1 − score) d score, or score (d score − Σ score d score)
//   combineExperts   out_t = Σ_c w_tc x[place_tc] + residual_t, in the choices' order
//
// A thread has whole tokens. Choosing has no gradient, and so have bias and groups.
#include "../kernels/experts.h"
#include <algorithm>
#include <stdexcept>
#include <string>
#include "device.h"
#include "tools/simd.h"

namespace cpu::CPU_ISA {
namespace {

constexpr int64_t grain = 4096;  // elements that are worth a thread

int64_t rowsForThread(int64_t cols) { return std::max<int64_t>(1, grain / std::max<int64_t>(cols, 1)); }

void scoresOf(const float* z, int64_t count, bool sigmoid, float* to) {
  if (sigmoid) {
    eachRegister(count,
                 [&](int64_t i, auto access, int) { access.store(to + i, CPU_ISA::sigmoid(access.load(z + i))); });
    return;
  }
  float most = z[0];
  for (int64_t i = 1; i < count; i++) most = z[i] > most ? z[i] : most;
  eachRegister(count, [&](int64_t i, auto access, int) { access.store(to + i, exp(access.load(z + i) - most)); });
  float sum = 0;
  for (int64_t i = 0; i < count; i++) sum += to[i];
  const float share = 1 / sum;
  for (int64_t i = 0; i < count; i++) to[i] *= share;
}

// The place of the largest number that is not taken yet, ties by place. NaN loses, unless there is nothing else.
int64_t largest(const float* x, const bool* taken, int64_t count) {
  int64_t found = -1;
  for (int64_t i = 0; i < count; i++)
    if (!taken[i] && (found < 0 || x[i] > x[found] || (x[found] != x[found] && x[i] == x[i]))) found = i;
  return found;
}

// Takes the experts of all groups but the `kept` best out of the choice.
void keepGroups(float* choice, bool* taken, int64_t experts, int groups, int kept, int best) {
  const int64_t size = experts / groups;
  Scratch<float> sums(groups);
  Scratch<bool> stays(groups);
  std::fill(taken, taken + experts, false);
  std::fill(stays.data(), stays + groups, false);
  for (int g = 0; g < groups; g++) {
    sums[g] = 0;
    for (int i = 0; i < best; i++) {
      const int64_t at = largest(choice + g * size, taken + g * size, size);
      sums[g] += choice[g * size + at];
      taken[g * size + at] = true;
    }
  }
  for (int i = 0; i < kept; i++) stays[largest(sums, stays, groups)] = true;
  for (int64_t i = 0; i < experts; i++)
    if (!stays[i / size]) choice[i] = -INFINITY;
}

}  // namespace

void route(Device& device, Out weights, Out chosen, In logits, In bias, bool sigmoid, bool normalize, float epsilon,
           float least, float scale, int groups, int kept, int best) {
  const int64_t tokens = logits.rows(), experts = logits.cols(), k = weights.cols();
  if (tokens * k == 0) return;
  Scratch<float> buffers(device.threads * experts * 3), biases(experts);
  Scratch<bool> flags(device.threads * experts);
  const float* added = bias ? readRow(bias, 0, experts, biases) : nullptr;
  device.parallelRanges(tokens, rowsForThread(experts * k), [&](int64_t begin, int64_t end, int thread) {
    float *scores = buffers + thread * experts * 3, *choice = scores + experts, *room = choice + experts;
    bool* taken = flags + thread * experts;
    for (int64_t t = begin; t < end; t++) {
      scoresOf(readRow(logits, t * experts, experts, room), experts, sigmoid, scores);
      for (int64_t i = 0; i < experts; i++) choice[i] = added ? scores[i] + added[i] : scores[i];
      if (kept < groups) keepGroups(choice, taken, experts, groups, kept, best);
      std::fill(taken, taken + experts, false);
      float* weight = weights.data<float>() + t * k;
      int32_t* which = chosen.data<int32_t>() + t * k;
      float sum = 0;
      for (int64_t c = 0; c < k; c++) {
        const int64_t at = largest(choice, taken, experts);
        taken[at] = true;
        which[c] = int32_t(at);
        weight[c] = scores[at];
        sum += scores[at];
      }
      const float divisor = normalize ? std::max(sum + epsilon, least) : 1;
      for (int64_t c = 0; c < k; c++) weight[c] = scale * (weight[c] / divisor);
    }
  });
}

void routeBackward(Device& device, Out dlogits, In dweights, In logits, In chosen, bool sigmoid, bool normalize,
                   float epsilon, float least, float scale) {
  const int64_t tokens = logits.rows(), experts = logits.cols(), k = chosen.cols();
  if (tokens * experts == 0) return;
  Scratch<float> buffers(device.threads * (experts * 3 + k));
  device.parallelRanges(tokens, rowsForThread(experts), [&](int64_t begin, int64_t end, int thread) {
    float* scores = buffers + thread * (experts * 3 + k);
    float *room = scores + experts, *slopes = room + experts, *wide = slopes + experts;
    for (int64_t t = begin; t < end; t++) {
      scoresOf(readRow(logits, t * experts, experts, room), experts, sigmoid, scores);
      const int32_t* which = chosen.data<int32_t>() + t * k;
      const float* grad = readRow(dweights, t * k, k, wide);
      float sum = 0, dot = 0;
      for (int64_t c = 0; c < k; c++) {
        sum += scores[which[c]];
        dot += scores[which[c]] * grad[c];
      }
      const float divisor = normalize ? std::max(sum + epsilon, least) : 1;
      const float back = normalize && sum + epsilon > least ? dot / divisor / divisor : 0;
      float* out = rowFor(dlogits, t * experts, slopes);
      float inner = 0;
      if (!sigmoid)
        for (int64_t c = 0; c < k; c++) inner += scores[which[c]] * scale * (grad[c] / divisor - back);
      for (int64_t i = 0; i < experts; i++) out[i] = sigmoid ? 0 : -scores[i] * inner;
      for (int64_t c = 0; c < k; c++) {
        const float s = scores[which[c]], slope = scale * (grad[c] / divisor - back);
        out[which[c]] = sigmoid ? s * (1 - s) * slope : s * (slope - inner);
      }
      writeRow(dlogits, t * experts, out, experts);
    }
  });
}

void sortByExpert(Device& device, Out rows, Out places, Out segments, In chosen) {
  const int64_t count = chosen.size(), k = chosen.cols(), experts = segments.size() - 1;
  const int32_t* expert = chosen.data<int32_t>();
  int32_t* start = segments.data<int32_t>();
  std::fill(start, start + experts + 1, 0);
  for (int64_t i = 0; i < count; i++) {
    if (expert[i] < 0 || expert[i] >= experts)
      throw std::runtime_error("expert " + std::to_string(expert[i]) + " (choice " + std::to_string(i) + ") of " +
                               std::to_string(experts));
    start[expert[i] + 1]++;
  }
  for (int64_t e = 0; e < experts; e++) start[e + 1] += start[e];
  Scratch<int32_t> next(experts);
  std::copy(start, start + experts, next.data());
  for (int64_t i = 0; i < count; i++) {
    const int32_t row = next[expert[i]]++;
    places.data<int32_t>()[i] = row;
    rows.data<int32_t>()[row] = int32_t(i / k);
  }
}

namespace {

void checkPlaces(const View& places, int64_t rows) {
  const int32_t* place = places.data<int32_t>();
  for (int64_t i = 0, count = places.size(); i < count; i++)
    if (place[i] < 0 || place[i] >= rows)
      throw std::runtime_error("choice " + std::to_string(i) + " has row " + std::to_string(place[i]) + " of " +
                               std::to_string(rows));
}

}  // namespace

void combineExperts(Device& device, Out out, In x, In weights, In places, In residual) {
  const int64_t tokens = out.rows(), dim = out.cols(), k = places.cols();
  if (tokens * dim == 0) return;
  checkPlaces(places, x.rows());
  Scratch<float> buffers(device.threads * (2 * dim + k));
  device.parallelRanges(tokens, rowsForThread(dim * k), [&](int64_t begin, int64_t end, int thread) {
    float *sums = buffers + thread * (2 * dim + k), *room = sums + dim, *wide = room + dim;
    for (int64_t t = begin; t < end; t++) {
      std::fill(sums, sums + dim, 0.0f);
      const float* weight = weights ? readRow(weights, t * k, k, wide) : nullptr;
      for (int64_t c = 0; c < k; c++) {
        const float* from = readRow(x, places.data<int32_t>()[t * k + c] * dim, dim, room);
        const float w = weight ? weight[c] : 1;
        eachRegister(dim, [&](int64_t i, auto access, int) {
          access.store(sums + i, fma(splat(w), access.load(from + i), access.load(sums + i)));
        });
      }
      if (residual) {
        const float* from = readRow(residual, t * dim, dim, room);
        for (int64_t i = 0; i < dim; i++) sums[i] += from[i];
      }
      writeRow(out, t * dim, sums, dim);
    }
  });
}

void combineExpertsBackward(Device& device, Out dx, Out dweights, In dout, In x, In weights, In places) {
  const int64_t tokens = dout.rows(), dim = dout.cols(), k = places.cols();
  if (tokens * k == 0) return;
  checkPlaces(places, x.rows());
  Scratch<float> buffers(device.threads * (3 * dim + k));
  device.parallelRanges(tokens, rowsForThread(dim * k), [&](int64_t begin, int64_t end, int thread) {
    float *room = buffers + thread * (3 * dim + k), *other = room + dim, *scaled = other + dim, *wide = scaled + dim;
    for (int64_t t = begin; t < end; t++) {
      const float* grad = readRow(dout, t * dim, dim, room);
      const float* weight = readRow(weights, t * k, k, wide);
      for (int64_t c = 0; c < k; c++) {
        const int64_t at = places.data<int32_t>()[t * k + c] * dim;
        const float* from = readRow(x, at, dim, other);
        float* to = rowFor(dx, at, scaled);
        const float w = weight[c];
        Floats sums[slots] = {};
        eachRegister(dim, [&](int64_t i, auto access, int slot) {
          const Floats g = access.load(grad + i);
          sums[slot] += g * access.load(from + i);
          access.store(to + i, g * w);
        });
        writeRow(dx, at, to, dim);
        dweights.data<float>()[t * k + c] = sumSlots(sums);
      }
    }
  });
}

}  // namespace cpu::CPU_ISA
