#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a bare clone to every promise checked: installs what is missing, builds everything, runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
# shellcheck source=scripts/lib/results.sh
. scripts/lib/results.sh

usage() {
  cat <<'EOF'
usage: scripts/test.sh [--quick] [--no-install]

Installs the missing packages (Debian 12, Ubuntu 24.04; root), builds with warnings as errors, and runs
  the whole suite on the release build                            (build/dev),
  the suite, CUDA kernels in an emulator included, under AddressSanitizer and
    UndefinedBehaviorSanitizer                        (build/asan; without the tests labelled slow or house),
  the kernels' tests without oneDNN                               (build/no-onednn),
  where nvcc 12.4 or newer is found, compiles the CUDA code, and compares each kernel's registers and memory
    with kernels/resources.txt                                    (build/cuda),
  the CUDA kernels and training on them, in an emulator, and the kernels' tests once more on nvcc's PTX, if there is any
                                                                  (build/emulated),
  the CUDA kernels under its access checker                       (build/emulated-checked),
and ends with one table, in which a test of the sanitizers and the checker is a whole program. About 32 minutes on
2 cores, from nothing. Exits 1 if anything failed.

  --quick        the release build and its tests that are not labelled slow; at most 5 minutes
  --no-install   never install; go on with what is there
EOF
}

may_install=yes quick=no
for argument; do
  case $argument in
    --quick) quick=yes ;;
    --no-install) may_install=no ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown option '$argument'" ;;
  esac
done

REQUIRED+=(libgtest-dev)
if [ "$quick" = no ]; then
  REQUIRED+=(libbenchmark-dev)
  WANTED+=(ccache)  # the flavours share what they compile alike
fi
ensure_packages "$may_install"
check_versions
readonly LOGS=$PWD/build/test-logs
mkdir -p "$LOGS"

# run_logged NAME COMMAND...: output to the log; the lines that matter on failure.
run_logged() {
  local log=$LOGS/$1.log
  shift
  "$@" >"$log" 2>&1 || {
    { grep -E 'error|Error|undefined reference|^FAILED' "$log" || tail -n 40 "$log"; } | cut -c 1-240 | head -n 40 >&2
    note "... the whole log: $log"
    return 1
  }
}

# build STEP PRESET FOLDER TARGET OPTIONS...: configures and builds; adds a row only if that fails.
build() {
  local step=$1 preset=$2 folder=$3 target=$4 started=$SECONDS
  shift 4
  say "Building: $step ..."
  if run_logged "configure-${folder##*/}" cmake --preset "$preset" -B "$folder" "$@" &&
    run_logged "build-${folder##*/}" cmake --build "$folder" --target "$target" -j "$(jobs_here)" -- -k 0; then
    BUILD_SECONDS=$((SECONDS - started))
  else
    add_row "$step" 0 1 0 $((SECONDS - started)) "the build failed"
    return 1
  fi
}

# run_tests STEP FOLDER OPTIONS...: CTest; the row's minutes include the build.
run_tests() {
  local step=$1 folder=$2 name=${2##*/} status=0 started=$SECONDS
  shift 2
  local junit=$LOGS/$name.xml log=$LOGS/test-$name.log
  say "Testing: $step ..."
  rm -f "$junit"
  ctest --test-dir "$folder" -j "$(jobs_here)" --no-tests=error --output-on-failure --timeout 300 --quiet \
    --output-junit "$junit" --output-log "$log" "$@" || status=$?
  [ "$status" -eq 0 ] || failures "$log"
  add_tests "$step" "$junit" "$status" $((BUILD_SECONDS + SECONDS - started))
}

# failures LOG: what failed, and why.
failures() {
  grep -E 'Failure$|\*\*\*(Failed|Exception|Timeout|Not Run)|ERROR: |runtime error:' "$1" |
    grep -v '(Disabled)' | head -n 60 >&2 || true
  note "... the whole log: $1"
}

# The program that nvcc built trains on what is here, be it a machine without a driver.
train_with_cuda_build() {
  local run started=$SECONDS
  run=$(mktemp -d)
  if run_logged cuda-program build/cuda/apps/hourglass train vae --data shapes:8:400 --hidden 16 --latent 2 --batch 20 \
    --epochs 2 --out "$run/vae"; then
    add_row "program built with CUDA" 1 0 0 $((SECONDS - started)) "$(head -n 1 "$LOGS/cuda-program.log")"
  else
    add_row "program built with CUDA" 0 1 0 $((SECONDS - started)) "it does not train"
  fi
  rm -rf "$run"
}

# What only a card runs, of tests and benchmarks, at least compiles: nothing else here would notice if it did not.
compile_device_code() {
  if build "device code of tests and benchmarks" dev build/device-code device_code -DHOURGLASS_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES=90a-real; then
    add_row "device code of tests and benchmarks" 1 0 0 "$BUILD_SECONDS" ""
  fi
}

# check_resources LOG: each kernel's registers and memory against kernels/resources.txt.
check_resources() {
  grep -q 'Compiling entry function' "$1" || return 0  # nothing was compiled anew
  if run_logged kernel-resources scripts/kernel-resources.sh --check "$1"; then
    add_row "kernels' resources" 1 0 0 0 ""
  else
    add_row "kernels' resources" 0 1 0 0 "they differ from kernels/resources.txt"
  fi
}

# compile_cuda: the program by nvcc; PTX becomes the folder of the kernels' PTX, or stays empty. For the two cards whose
# code is tested: the PTX for later ones, which the product's build adds, is a fifth of the compile time.
compile_cuda() {
  local problem
  problem=$(nvcc_problem)
  if [ -n "$problem" ]; then
    add_skip "CUDA compile" "$problem"
  elif build "CUDA compile" dev build/cuda hourglass -DHOURGLASS_CUDA=ON -DHOURGLASS_TESTS=OFF \
    -DHOURGLASS_BENCHMARKS=OFF -DHOURGLASS_PTXAS_VERBOSE=ON -DHOURGLASS_KEEP_PTX=ON \
    "-DCMAKE_CUDA_ARCHITECTURES=80-real;90a-real"; then
    add_row "CUDA compile" 1 0 0 "$BUILD_SECONDS" "nvcc $(nvcc_version)"
    PTX=$PWD/build/cuda/ptx
    find "$PTX" -type f ! -name '*.ptx' -delete  # 1 GB
    train_with_cuda_build
    check_resources "$LOGS/build-cuda.log"
    compile_device_code
  fi
}

PTX=
if [ "$quick" = yes ]; then
  if build "release" dev build/dev tests_and_program -DHOURGLASS_BENCHMARKS=OFF; then
    run_tests "release" build/dev -LE slow
  fi
  add_skip "slow tests, sanitizers, build without oneDNN, CUDA" "--quick"
else
  if build "release" dev build/dev all -DHOURGLASS_BENCHMARKS=ON; then
    run_tests "release" build/dev
  fi
  if build "AddressSanitizer + UBSan" asan build/asan tests_and_program; then
    run_tests "AddressSanitizer + UBSan" build/asan -LE "slow|house"
  fi
  if build "kernels without oneDNN" dev build/no-onednn kernel_tests -DHOURGLASS_ONEDNN=OFF -DHOURGLASS_BENCHMARKS=OFF; then
    run_tests "kernels without oneDNN" build/no-onednn -L kernels
  fi
  compile_cuda
  # The very .cu files on the CPU, by the emulator of tests/simt, and what nvcc has just made of them.
  if build "CUDA in the emulator" emulated build/emulated cuda_tests -DHOURGLASS_PTX_FROM="$PTX"; then
    run_tests "CUDA in the emulator" build/emulated -L cuda
  fi
  # Races, bounds and uninitialised reads, whatever order the threads ran in.
  if build "CUDA under the access checker" emulated-checked build/emulated-checked cuda_tests; then
    run_tests "CUDA under the access checker" build/emulated-checked -L cuda
  fi
fi

print_table "$SECONDS"
[ "$FAILED" -eq 0 ]
