// SPDX-License-Identifier: Apache-2.0
// Ctrl-C and SIGTERM: the first asks the program to save and stop, the second stops it at once.
#pragma once

#include "kernels/base/error.h"

namespace hourglass {

/// Installs the handlers for SIGINT and SIGTERM for the rest of the process.
void catch_signals();

/// The signal that arrived, or 0. Look between steps.
int caught_signal();

/// 130 for SIGINT, 143 for SIGTERM, kDone while none has arrived.
Exit exit_of_signal();

}  // namespace hourglass
