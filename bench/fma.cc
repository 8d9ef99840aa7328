// What this machine's vector units reach at most: independent fused multiply-adds on registers, on every thread.
// bench/cpu.mjs compiles it with -march=native and compares matrix products with its figure.
//
//   g++ -O3 -march=native -pthread bench/fma.cc -o fma && ./fma [threads]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX2__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef float Floats __attribute__((vector_size(lanes * 4)));

// Latency times throughput of an FMA is 8 on most machines; more chains do no harm.
constexpr int chains = 16;
constexpr long rounds = 20'000'000;

static void work(float* out) {
  // Different numbers in each chain, or the compiler would compute equal chains once.
  Floats sums[chains], factor = Floats{} + 0.999f, term = Floats{} + 0.001f;
  for (int c = 0; c < chains; c++) sums[c] = Floats{} + float(c + *out);
  for (long i = 0; i < rounds; i++) {
#pragma GCC unroll 16
    for (int c = 0; c < chains; c++) sums[c] = sums[c] * factor + term;
  }
  Floats all = {};
  for (int c = 0; c < chains; c++) all += sums[c];
  *out = all[0];
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : int(std::thread::hardware_concurrency());
  double best = 0;
  for (int repeat = 0; repeat < 3; repeat++) {
    std::vector<std::thread> all;
    std::vector<float> out(threads, 1.0f);
    const auto start = std::chrono::steady_clock::now();
    for (int t = 0; t < threads; t++) all.emplace_back(work, &out[t]);
    for (auto& t : all) t.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double rate = 2.0 * lanes * chains * rounds * threads / seconds.count() / 1e9;
    if (rate > best) best = rate;
  }
  std::printf("%.1f\n", best);
}
