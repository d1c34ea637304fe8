// SPDX-License-Identifier: Apache-2.0
// Takes the place of the toolkit's <cuda_runtime.h> in an emulated build (this folder is first on the include path).
#pragma once

#include "tests/simt/collectives.h"
#include "tests/simt/hopper.h"
#include "tests/simt/intrinsics.h"
#include "tests/simt/language.h"
#include "tests/simt/runtime_api.h"
#include "tests/simt/tensor_core.h"
