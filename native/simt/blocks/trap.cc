// Signal handlers that lead a faulting fiber away from its fault.
#include "trap.h"
#include <signal.h>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <vector>
#include "block.h"
#ifdef __linux__
#include <ucontext.h>
#else
#include <sys/ucontext.h>
#endif

namespace simt {
namespace {

using Landing = void (*)();
constinit thread_local Landing landing = nullptr;
constinit thread_local char* landingStack = nullptr;
constinit thread_local uintptr_t address = 0;
constinit thread_local bool overflow = false;

struct sigaction before[2];  // SIGSEGV, SIGBUS

void* continueAt(void* context, void (*function)(), char* stackEnd) {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  const uintptr_t top = (reinterpret_cast<uintptr_t>(stackEnd) & ~uintptr_t(15)) - 64;
#if defined(__linux__) && defined(__x86_64__)
  machine.gregs[REG_RIP] = greg_t(reinterpret_cast<uintptr_t>(function));
  machine.gregs[REG_RSP] = greg_t(top - 8);
#elif defined(__linux__) && defined(__aarch64__)
  machine.pc = reinterpret_cast<uintptr_t>(function);
  machine.sp = top;
#elif defined(__APPLE__) && defined(__x86_64__)
  machine->__ss.__rip = reinterpret_cast<uintptr_t>(function);
  machine->__ss.__rsp = top - 8;
#elif defined(__APPLE__) && defined(__aarch64__)
  machine->__ss.__pc = reinterpret_cast<uintptr_t>(function);
  machine->__ss.__sp = top;
#endif
  return context;
}

void handle(int signal, siginfo_t* info, void* context) {
  if (current && landing) {
    address = reinterpret_cast<uintptr_t>(info->si_addr);
    const uintptr_t guard = reinterpret_cast<uintptr_t>(current->stack->bytes);
    overflow = address >= guard && address < guard + Stacks::guard;
    continueAt(context, landing, landingStack);
    return;
  }
  const struct sigaction& other = before[signal == SIGBUS];
  if (other.sa_flags & SA_SIGINFO) return other.sa_sigaction(signal, info, context);
  if (other.sa_handler != SIG_DFL && other.sa_handler != SIG_IGN) return other.sa_handler(signal);
  ::signal(signal, SIG_DFL);  // the instruction runs again and meets the default
}

// The handler must not run on the stack that overflowed.
struct Stand {
  std::vector<char> signals = std::vector<char>(64 * 1024), landing = std::vector<char>(128 * 1024);
  stack_t former{};
  Stand() {
    stack_t stack{};
    stack.ss_sp = signals.data();
    stack.ss_size = signals.size();
    sigaltstack(&stack, &former);
    landingStack = landing.data() + landing.size();
  }
  ~Stand() {
    sigaltstack(&former, nullptr);
    simt::landing = nullptr;
  }
};

}  // namespace

void catchTraps(void (*land)()) {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before[0]);
    sigaction(SIGBUS, &action, &before[1]);
  });
  static thread_local Stand stand;
  landing = land;
}

std::string trapReason() {
  if (overflow) return "the kernel's local variables need more stack than a fiber has";
  char text[160];
  std::snprintf(text, sizeof text,
                address ? "touches memory at 0x%zx, which is not mapped"
                        : "touches memory at an address that is null, misaligned for its type, or not canonical",
                size_t(address));
  return text;
}

}  // namespace simt
