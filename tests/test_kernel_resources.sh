#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/kernel-resources.sh --check against logs of a build, with a stand-in for nvcc.
# shellcheck disable=SC2317  # the conditions are called through check
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/script_checks.sh
. tests/script_checks.sh

mkdir -p "$work/kernels" "$work/bin"
cp -r scripts "$work"
# shellcheck disable=SC2016  # the stand-in expands it
printf '#!/bin/sh\necho "Cuda compilation tools, release ${NVCC_VERSION:-13.0}, V13.0.88"\n' >"$work/bin/nvcc"
chmod +x "$work/bin/nvcc"

log() {  # log REGISTERS STACK: two instances of a kernel
  local mangled=_ZN9hourglass4cuda45_GLOBAL__N__d3279f68_7_fill_cu_09c58484_3263616fill_quad_kernel instance
  echo "[1/2] Building CUDA object kernels/CMakeFiles/hourglass_kernels.dir/fill.cu.o"
  for instance in INS_4bf16EEEvlNS_6WeightEbPT_ IfEEvlNS_6WeightEbPT_; do
    echo "ptxas info    : Compiling entry function '$mangled$instance' for 'sm_80'"
    echo "    $2 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    echo "ptxas info    : Used $1 registers, used 1 barriers, 64 bytes smem, 392 bytes cmem[0], 8 bytes cmem[2]"
  done
}
against() {  # against REGISTERS STACK: compares a build with the table
  log "$@" >"$work/log"
  out=$(CUDACXX=$work/bin/nvcc "$work/scripts/kernel-resources.sh" --check "$work/log" 2>&1) status=$?
}
row() { printf '%-58s %-7s %9d %9d %8d %8d %6d\n' "$1" sm_80 2 "$2" 64 400 0; }
{
  echo "# nvcc 13.0. Written by scripts/kernel-resources.sh."
  row "fill.cu fill_quad_kernel" 20
  row "other.cu another_kernel" 30 # not compiled by these builds
} >"$work/kernels/resources.txt"

against 20 0
check "the same counts pass" exits 0
cp "$work/kernels/resources.txt" "$work/by-hand"
CUDACXX=$work/bin/nvcc "$work/scripts/kernel-resources.sh" --from "$work/log" >/dev/null
out=$(cat "$work/kernels/resources.txt")
check "a table is written from a log" says "$(row 'fill.cu fill_quad_kernel' 20)"
mv "$work/by-hand" "$work/kernels/resources.txt"
against 21 0
check "a register more fails" exits 1
check "both counts are named" says "in the table: $(row 'fill.cu fill_quad_kernel' 20)"
check "both counts are named" says "ptxas says:   $(row 'fill.cu fill_quad_kernel' 21)"
row "fill.cu gone_kernel" 9 >>"$work/kernels/resources.txt"
against 20 0
check "a kernel that is gone fails" exits 1
check "and is named" says "in the table: fill.cu gone_kernel"
sed -i /gone_kernel/d "$work/kernels/resources.txt"
export NVCC_VERSION=13.1
against 21 0
check "another nvcc's counts are not compared" exits 0
check "and it says so" says "another nvcc than 13.1"
against 21 16
check "its local memory is" exits 1
check "and is named" says "local memory: fill.cu fill_quad_kernel"
unset NVCC_VERSION
: >"$work/log"
out=$(CUDACXX=$work/bin/nvcc "$work/scripts/kernel-resources.sh" --check "$work/log" 2>&1) status=$?
check "a log without kernels is refused" exits 2
check "with what was expected" says "HOURGLASS_PTXAS_VERBOSE"
out=$("$work/scripts/kernel-resources.sh" --frobnicate 2>&1) status=$?
check "an unknown option is refused" exits 2

# What the notes quote of resources.txt is generated.
out=$(python3 docs/notes/tables.py --check 2>&1) status=$?
check "docs/notes/tables.md is what docs/notes/tables.py writes" exits 0

finish
