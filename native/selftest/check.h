// What the tests of the queue share. A check returns "" or a sentence that says what went wrong.
#pragma once
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>
#include "../queue.h"

namespace selftest {

struct Check {
  std::string name;
  std::function<std::string()> run;
};
std::vector<Check> mappedChecks();
std::vector<Check> poolChecks();
std::vector<Check> queueChecks();
std::vector<Check> transferChecks();
std::vector<Check> workerChecks();

// A door that one thread opens and another passes. Waiting ends after a minute, so that a check fails and does not hang.
class Gate {
 public:
  void open() { opened_.set_value(); }
  bool pass() { return passed_.wait_for(std::chrono::minutes(1)) == std::future_status::ready; }

 private:
  std::promise<void> opened_;
  std::shared_future<void> passed_ = opened_.get_future().share();
};

// Waits until the queue has run everything that was pushed, parked tasks included.
inline bool drain(Queue& queue) {
  auto gate = std::make_shared<Gate>();
  queue.pushLast([gate] { gate->open(); });
  return gate->pass();
}

inline std::string join(const std::vector<int>& numbers) {
  std::string text;
  for (int n : numbers) {
    if (!text.empty()) text += ' ';
    text += std::to_string(n);
  }
  return text;
}

}  // namespace selftest
