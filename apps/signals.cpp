// SPDX-License-Identifier: Apache-2.0
#include "apps/signals.h"

#include <unistd.h>

#include <csignal>
#include <cstddef>

namespace hourglass {
namespace {

volatile std::sig_atomic_t caught = 0;

// The kernel leaves the registers where the stack register points. oneDNN 2.6 points it into a workspace on the heap
// while it multiplies, so that a handler on the ordinary stack would overwrite the allocation below (gemm_onednn.cpp).
constexpr std::size_t kStackBytes = std::size_t{64} << 10;
alignas(64) char stack_of_handlers[kStackBytes];

// Only what is safe in a signal handler: a flag, or the end of the process. A terminal that goes away may send SIGHUP
// twice, the shell's after the kernel's: the second one is no wish to lose the run.
extern "C" void handle_signal(int signal) {
  if (caught != 0 && signal == SIGHUP) return;
  if (caught != 0) _exit(128 + signal);
  caught = signal;
}

}  // namespace

void catch_signals() {
  stack_t stack = {};
  stack.ss_sp = stack_of_handlers;
  stack.ss_size = kStackBytes;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = handle_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before = {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup has asked to be left alone
}

int caught_signal() { return caught; }

int exit_code_of_signal() { return caught == 0 ? 0 : 128 + caught; }

}  // namespace hourglass
