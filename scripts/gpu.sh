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
usage: scripts/gpu.sh [--minutes M] [--stage NAME ...] [--out DIR] [--emulated] [--quick] [--plan]
       scripts/gpu.sh --pack
       scripts/gpu.sh --readme

On a machine with an NVIDIA GPU, CUDA 12.4 or newer, CMake, ninja and python3 (PyTorch and JAX for the peers; no network):
  build        for the card found, into build/gpu                                          at most 240 s
  test         every test of the CUDA device                                               110 s
  step         the training step of each network                                            90 s
  bench        the ceilings and the kernels                                                160 s
  determinism  every model four times (alone: ten), captured and eager, beside the CPU     100 s
  sanitize     compute-sanitizer's four tools on the tests of the kernels                  150 s
  conv         convolutions beside cuDNN, whose algorithms are searched (alone: at length) 250 s
  train        trainings with their profiles; a published run of 100,000 steps              75 s
  peers        training steps of PyTorch (eager, torch.compile, captured) and JAX          390 s
  lookup       nearest codebook entries and fused kernels of PyTorch and flash-kmeans      115 s
  cpu          the kernels on the CPU of this machine                                       80 s
A stage that fails or runs out of time is recorded and the others go on. What is written so far is never lost: the
stages collect in build/gpu/results, and results.json, results.md and log.txt are made of that after each of them.
After a build that runs out of time nothing follows.

  --minutes M    end within M minutes, after whole stages; the next such call goes on with the stages that this version
                 has not been through: for machines that limit a command. Nine minutes each: five calls or fewer
  --stage NAME   only this stage (may be repeated); alone, it may take 9 minutes
  --out DIR      where to write; default: $OUT, or benchmarks/results/<device>-<date>
  --emulated     a dry run without a GPU: the emulated build in build/emulated, with ten times the seconds; times mean
                 nothing
  --quick        few cases
  --plan         print the stages and what they would run, and stop
  --pack         collect the libraries and Fashion-MNIST of this machine (Debian 12), and flash-kmeans, in .gpu-pack, to be
                 carried to a machine that lacks them
  --readme       rewrite README's table of GPU results from the newest folder of benchmarks/results
EOT
}

stages=() out=${OUT:-} emulated=no quick=no plan=no minutes=0
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die 2 "--minutes needs a whole number of minutes"; minutes=$2 && shift ;;
    --stage) [ $# -gt 1 ] || die 2 "--stage needs a name"; stages+=("$2") && shift ;;
    --out) [ $# -gt 1 ] || die 2 "--out needs a folder"; out=$2 && shift ;;
    --emulated) emulated=yes ;;
    --quick) quick=yes ;;
    --plan) plan=yes ;;
    --pack) pack_libraries && exit 0 || exit 1 ;;
    --readme) exec python3 benchmarks/peers/gpu_tables.py benchmarks/results README.md ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown option '$1'" ;;
  esac
  shift
done
only=${#stages[@]}
[ "$only" -gt 0 ] || stages=("${ALL_STAGES[@]}")
for stage in "${stages[@]}"; do
  [ -n "${BUDGET[$stage]:-}" ] || die 2 "unknown stage '$stage': expected one of ${ALL_STAGES[*]}"
  [ "$only" -ne 1 ] || BUDGET[$stage]=$ALONE
done
if [ "$emulated" = yes ]; then
  BUILD=build/emulated
  for stage in "${ALL_STAGES[@]}"; do BUDGET[$stage]=$((10 * BUDGET[$stage])); done
else
  BUILD=build/gpu
  use_cuda_libraries
fi
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
run_stages "$minutes" "${stages[@]}"
