// SPDX-License-Identifier: Apache-2.0
// Takes the place of the toolkit's <cudaTypedefs.h>.
#pragma once

#include <cuda.h>
