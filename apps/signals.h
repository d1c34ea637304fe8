// SPDX-License-Identifier: Apache-2.0
// Ctrl-C, SIGTERM, and SIGHUP of a terminal that goes away: the first asks the program to save and stop, a second
// Ctrl-C or SIGTERM stops it at once.
#pragma once

namespace hourglass {

/// Installs the handlers for the rest of the process, on a stack of their own of the calling thread; those of a
/// ThreadPool take no signals. Under nohup SIGHUP stays ignored.
void catch_signals();

/// The signal that arrived, or 0. Look between steps.
int caught_signal();

/// As a shell counts: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM; 0 while none has arrived.
int exit_code_of_signal();

}  // namespace hourglass
