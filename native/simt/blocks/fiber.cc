// The switch between fibers in assembly: x86-64 (System V) and arm64.
#include "fiber.h"
#include <sys/mman.h>
#include <cstdint>
#include <new>

#ifdef __APPLE__
#define SYMBOL "_helvetiaSimtSwitch"
#else
#define SYMBOL "helvetiaSimtSwitch"
#endif

#if defined(__x86_64__)
asm(".text\n.globl " SYMBOL "\n" SYMBOL
    ":\n"
    "  endbr64\n"
    "  push %rbp\n  push %rbx\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, (%rdi)\n"
    "  mov %rsi, %rsp\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbx\n  pop %rbp\n"
    "  ret\n");
#elif defined(__aarch64__)
asm(".text\n.p2align 2\n.globl " SYMBOL "\n" SYMBOL
    ":\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp, #0]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n");
#else
#error "The software GPU switches stacks on x86-64 and arm64 only"
#endif

namespace simt {
namespace {

// The stack as helvetiaSimtSwitch leaves one, with `entry` as the place to continue.
void* firstFrame(char* end, void (*entry)()) {
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(end) - 3;  // entry finds the stack as after a call: 8 past a multiple of 16
  *top = nullptr;
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;
#else
  void** top = reinterpret_cast<void**>(end) - 20;
  for (int i = 0; i < 20; i++) top[i] = nullptr;
  top[11] = reinterpret_cast<void*>(entry);
#endif
  return top;
}

}  // namespace

Stack* Stacks::take() {
  if (!idle_.empty()) {
    Stack* stack = idle_.back();
    idle_.pop_back();
    return stack;
  }
  void* map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  mprotect(map, guard, PROT_NONE);
  // Tops at different offsets of a page, else the stacks of a warp would compete for the same few cache lines.
  const size_t colour = all_.size() * 5 % 64 * 64;
  char* end = static_cast<char*>(map) + bytes - 64 - colour;
  Stack* stack = new Stack{firstFrame(end, entry_), static_cast<char*>(map), end};
  all_.push_back(stack);
  return stack;
}

void Stacks::giveUp(Stack* stack) {
  stack->top = firstFrame(stack->end, entry_);
  idle_.push_back(stack);
}

Stacks::~Stacks() {
  for (Stack* stack : all_) {
    munmap(stack->bytes, bytes);
    delete stack;
  }
}

}  // namespace simt
