// Runs all checks and prints one line for each: name, tab, what went wrong or nothing.
#include <cstdio>
#include "check.h"

int main() {
  using namespace selftest;
  for (const auto& family : {mappedChecks, poolChecks, queueChecks, transferChecks, workerChecks})
    for (const Check& check : family()) {
      std::printf("%s\t%s\n", check.name.c_str(), check.run().c_str());
      std::fflush(stdout);
    }
  return 0;
}
