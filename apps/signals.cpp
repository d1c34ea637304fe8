// SPDX-License-Identifier: Apache-2.0
#include "apps/signals.h"

#include <unistd.h>

#include <csignal>

namespace hourglass {
namespace {

volatile std::sig_atomic_t caught = 0;

// Only what is safe in a signal handler: a flag, or the end of the process.
extern "C" void handle_signal(int signal) {
  if (caught != 0) _exit(128 + signal);
  caught = signal;
}

}  // namespace

void catch_signals() {
  struct sigaction action = {};
  action.sa_handler = handle_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int caught_signal() { return caught; }

Exit exit_of_signal() {
  if (caught == SIGINT) return Exit::kInterrupted;
  return caught == SIGTERM ? Exit::kTerminated : Exit::kDone;
}

}  // namespace hourglass
