#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One command on a GPU machine: builds, tests, sanitizes and measures, and writes results.json and results.md.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
# shellcheck source=scripts/lib/gpu_stages.sh
. scripts/lib/gpu_stages.sh

usage() {
  cat <<'EOT'
usage: scripts/gpu.sh [--stage NAME ...] [--out DIR] [--emulated] [--quick] [--plan]
       scripts/gpu.sh --pack

On a machine with an NVIDIA GPU, CUDA 12.4 or newer, CMake, ninja and python3 (PyTorch for the peers; no network):
  build      for the card found, into build/gpu                                          at most 180 s
  test       every test of the CUDA device                                               110 s
  train      trainings with their profiles; a published run of 100,000 steps              75 s
  sanitize   compute-sanitizer's four tools on the tests of the kernels                   75 s
  bench      the kernels on the device, then on the CPU; the training step               100 s
  peers      PyTorch's training step: eager, torch.compile, one captured graph            55 s
A stage that fails or runs out of time is recorded and the others go on. What is written so far is never lost: the
stages collect in build/gpu/results, and results.json, results.md and log.txt are made of that at the end of each call.

  --stage NAME   only this stage (may be repeated), with up to 9 minutes for it: for machines that limit a command
  --out DIR      where to write; default: $OUT, or benchmarks/results/<device>-<date>
  --emulated     a dry run without a GPU: the emulated build in build/emulated; times mean nothing
  --quick        few cases
  --plan         print the stages and what they would run, and stop
  --pack         collect the libraries and Fashion-MNIST of this machine (Debian 12) in .gpu-pack, to be carried to a
                 machine that lacks them
EOT
}

stages=() out=${OUT:-} emulated=no quick=no plan=no
while [ $# -gt 0 ]; do
  case $1 in
    --stage) [ $# -gt 1 ] || die 2 "--stage needs a name" ; stages+=("$2") && shift ;;
    --out) [ $# -gt 1 ] || die 2 "--out needs a folder" ; out=$2 && shift ;;
    --emulated) emulated=yes ;;
    --quick) quick=yes ;;
    --plan) plan=yes ;;
    --pack) pack_libraries && exit 0 || exit 1 ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown option '$1'" ;;
  esac
  shift
done
only=${#stages[@]}
[ "$only" -gt 0 ] || stages=("${ALL_STAGES[@]}")
for stage in "${stages[@]}"; do
  [ -n "${BUDGET[$stage]:-}" ] || die 2 "unknown stage '$stage': expected one of ${ALL_STAGES[*]}"
  [ "$only" -ne 1 ] || BUDGET[$stage]=540
done
if [ "$emulated" = yes ]; then BUILD=build/emulated; else BUILD=build/gpu; fi
readonly RESULTS=$BUILD/results

if [ "$plan" = yes ]; then
  for stage in "${stages[@]}"; do say "$stage: at most ${BUDGET[$stage]} s" && "commands_$stage" | sed 's/^/  /'; done
  exit 0
fi
[ "$emulated" = yes ] || gpu_present || die 4 "no NVIDIA GPU here; --emulated makes a dry run"
out=${out:-benchmarks/results/$(device_name)-$(date +%F)}
mkdir -p "$RESULTS" "$out" || die 5 "cannot write $out"
describe_machine >"$RESULTS/machine.txt"
trap 'write_report "$out"' EXIT
failed=0
for stage in "${stages[@]}"; do run_stage "$stage" || failed=1; done
exit "$failed"
