#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/profile-kernels.sh --from profiles written by hand: the table, and what it makes of the reasons.
# shellcheck disable=SC2317  # the conditions are called through check
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/script_checks.sh
. tests/script_checks.sh

mkdir -p "$work/kernels/base" "$work/profiles"
cp -r scripts "$work"
printf '%s\n' one '  y[i] = x[order[i]];  ' three >"$work/kernels/gather.cu"
printf '%s\n' '  return load4(p);' >"$work/kernels/base/gpu.cuh"

signature() { printf 'void hourglass::cuda::(anonymous namespace)::%s<float>(long, float const*)' "$1"; }
# access NAME SPACE ACCESS TAKEN LEAST PLACE...: a line of a profile
access() {
  printf '%s.ptx\t%s\t%s\t%s\t4\t1\t32\t128\t%s\t%s' gather "$(signature "$1")" "$2" "$3" "$4" "$5"
  shift 5
  printf '\t%s' "$@"
  printf '\n'
}
for name in gather_kernel plain_kernel idle_kernel rare_kernel; do printf 'gather.ptx\t%s\n' "$(signature "$name")"; done \
  >"$work/profiles/kernels"
echo 13.0 >"$work/profiles/nvcc"
{
  access gather_kernel global load 60 20 /src/kernels/base/gpu.cuh:1 /src/kernels/gather.cu:2
  access gather_kernel global store 40 40 /src/kernels/gather.cu:3
  access gather_kernel shared store 101 100 /src/kernels/gather.cu:1
  access copy_quads_kernel global load 99 1 /src/benchmarks/device.cu:9
} >"$work/profiles/one.tsv"
{
  access gather_kernel global load 20 20 /src/kernels/base/gpu.cuh:1 /src/kernels/gather.cu:2
  access plain_kernel global load 125 100 /src/kernels/gather.cu:1
} >"$work/profiles/another.tsv"
{
  access gather_kernel global load 999 1 /src/kernels/gather.cu:2
  access rare_kernel global load 5 5 /src/kernels/gather.cu:1
} >"$work/profiles/small-one.tsv"
reasons() { cat >"$work/kernels/access-reasons.txt"; }
from() { # from [OPTION]: the table and what the script says
  out=$("$work/scripts/profile-kernels.sh" "$@" --from "$work/profiles" 2>&1) status=$?
  table=$(cat "$work/kernels/access.txt")
}
row() { printf '%-62s %8s %10s' "$@"; }
ends_with() { [[ $table == *"$1" ]]; }
contains() { [[ $table == *"$1"* ]]; }

reasons <<'END'
kernels: gather_kernel, another_kernel
  line: y[i] = x[order[i]];
    Whoever wrote this explains it here.
kernels: idle_kernel
  never profiled: for a test
END
from
check "explained lines pass" exits 0
check "profiles of several programs are added up" contains "$(row 'gather.cu gather_kernel' 1.50 1.01)"
check "the line is the caller of the wrapper" \
  contains $'\n    2.00  global load    67%  gather.cu: y[i] = x[order[i]];'
check "a kernel below the limit stands without lines" \
  contains "$(row 'gather.cu plain_kernel' 1.25 -)"$'\n'"$(row 'gather.cu rare_kernel' 1.00 -)"
check "small cases count for kernels that no other ran" ends_with "$(row 'gather.cu rare_kernel' 1.00 -)"
out=$(cat "$work/profiles/report.txt")
check "the report has the places" says "base/gpu.cuh:1 < gather.cu:2"

from --check
check "the same counts pass" exits 0
sed -i 's/1\.50/1.40/' "$work/kernels/access.txt"
from --check
check "other counts fail" exits 1
check "and are shown" says "> $(row 'gather.cu gather_kernel' 1.50 1.01)"

printf 'kernels: idle_kernel\n  never profiled: for a test\n' | reasons
from
check "a line without a reason fails" exits 1
check "and is named" says "not explained: gather.cu gather_kernel, global load, 2.00 times the least: gather.cu: y[i]"
printf 'kernels: *\n  line: y[i] = x[order[i]];\n' | reasons
from
check "a kernel that never ran fails" exits 1
check "and is named" says "not profiled: gather.cu idle_kernel"
printf 'kernels: idle_kernel\n  never profiled: so\nkernels: *\n  line: y[i] = x[order[i]];\n  line: gone\n' | reasons
from
check "a reason for nothing fails" exits 1
check "and is named" says "explains nothing: *: gone"

rm "$work/profiles/kernels"
from
check "a folder without profiles is refused" exits 2
out=$(CUDACXX=$work/none "$work/scripts/profile-kernels.sh" 2>&1) status=$?
check "without nvcc nothing is built" exits 2
check "and it says so" says "no nvcc"
out=$("$work/scripts/profile-kernels.sh" --frobnicate 2>&1) status=$?
check "an unknown option is refused" exits 2

finish
