// Attention over packed sequences: out = softmax(scale · q kᵀ) v, each sequence within itself.
//
//   q, out      [tokens, heads, d]     token and head strided
//   k, v        [tokens, kvHeads, d]   token and head strided; head h of q reads head h / (heads / kvHeads)
//   lse         f32 [heads, tokens]    ln Σ exp(score), for the gradient
//   boundaries  i32 [sequences + 1]    where each sequence begins, and the end of the last
//
// Scores are scale · q·k, softcap · tanh(score / softcap) where there is one; a query sees the keys up to itself if
// causal, else those on both sides, and those whose distance is below `window`. One task is a run of rows of one sequence
// and key-value head (attention-forward.h). The longest tasks are handed out first. A query that sees nothing gets 0.
#include <algorithm>
#include <stdexcept>
#include <vector>
#include "../../kernels/attention.h"
#include "attention-forward.h"
#include "attention-spans.h"

namespace cpu::CPU_ISA {

void attention(Device& device, Out out, Out lse, In q, In k, In v, In boundaries, float scale, bool causal, int window,
               float softcap) {
  const int64_t d = q.dim(2), kvHeads = k.dim(1);
  if (q.size() == 0) return;
  const int group = int(q.dim(1) / kvHeads);
  const Scoring scoring{scale, causal, window, softcap};
  const std::vector<Span> spans = packedSpans(boundaries, q.dim(0));
  clearOutside(out, spans);
  for (int64_t head = 0; head < lse.dim(0); head++)
    eachGap(spans, lse.dim(1), [&](int64_t begin, int64_t end) {
      std::fill(lse.data<float>() + head * lse.dim(1) + begin, lse.data<float>() + head * lse.dim(1) + end, -INFINITY);
    });

  struct Task {
    const Span* span;
    int64_t row, cost;
  };
  std::vector<Task> tasks;
  for (const Span& span : spans)
    for (int64_t row = 0; row < span.queries * group; row += runRows)
      tasks.push_back({&span, row, causal ? row / group + 1 : span.keys});
  std::stable_sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) { return a.cost > b.cost; });

  const RunScratch scratch(device.threads, d);
  device.parallelFor(int64_t(tasks.size()) * kvHeads, [&](int64_t i, int thread) {
    const Task& task = tasks[i / kvHeads];
    const Span& span = *task.span;
    const int64_t kvHead = i % kvHeads, rows = std::min<int64_t>(runRows, span.queries * group - task.row);
    attendRun(out, lse, q, scoring, span, kvHead, group, task.row, rows, scratch, thread,
              [&](int64_t key, int64_t count, float* keys, float* values) {
                const auto place = [&](const View& x) {
                  return [&x, kvHead, token = span.token + key](int64_t n) {
                    return (token + n) * x.stride(0) + kvHead * x.stride(1);
                  };
                };
                packRows(keys, k, d, count, place(k));
                packRows(values, v, d, count, place(v));
              });
  });
}

}  // namespace cpu::CPU_ISA
