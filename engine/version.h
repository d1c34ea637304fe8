// SPDX-License-Identifier: Apache-2.0
// What this build is: the facts that `hourglass --version`, `hourglass doctor` and run.json record. The values are
// written into version.cpp at build time, so that a new commit recompiles one small file and not its readers.
#pragma once

namespace hourglass {

struct BuildInfo {
  const char* version;   ///< "major.minor.patch"
  const char* commit;    ///< abbreviated git commit, with "-dirty" for changed sources; "unknown" outside a clone
  const char* compiler;  ///< name and version
  const char* flags;     ///< build type and the flags that decide the numbers
  const char* cuda;      ///< "nvcc 13.0", "emulated" in the tests' emulator, or "none"
  const char* onednn;    ///< version of the oneDNN headers, or "none": GEMM runs on Hourglass' own loops
};

const BuildInfo& build_info();

}  // namespace hourglass
