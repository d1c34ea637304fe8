#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The promises of scripts/gpu.sh that need no GPU and no build: its plan, its refusals, what it makes of a stage that
# fails, is skipped or runs out of time, and the report.
# shellcheck disable=SC2317  # the conditions are called through check
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/script_checks.sh
. tests/script_checks.sh

out=$(scripts/gpu.sh --emulated --plan 2>&1) status=$?
check "the plan exits 0" exits 0
for stage in build test train sanitize bench peers; do check "the plan has $stage" says "$stage: at most"; done
for source in benchmarks/bench_*.cpp; do check "the plan runs $source" says "benchmarks/$(basename "$source" .cpp) "; done
for source in tests/test_*_cuda.cpp; do
  check "the plan sanitizes $source" says "racecheck-$(basename "$source" .cpp)"
done
seconds=$(sed -n 's/.*: at most \([0-9]*\) s$/\1/p' <<<"$out" | awk '{ sum += $1 } END { print sum }')
check "all stages together stay within 10 minutes" [ "$seconds" -le 595 ]
out=$(scripts/gpu.sh --emulated --quick --plan 2>&1)
check "--quick is short" [ "$(wc -l <<<"$out")" -lt 25 ]
out=$(scripts/gpu.sh --stage nonsense 2>&1) status=$?
check "an unknown stage: exit 2" exits 2
check "and is named" says "unknown stage 'nonsense'"
if [ ! -e /dev/nvidia0 ] && ! command -v nvidia-smi >/dev/null; then
  out=$(scripts/gpu.sh --stage test 2>&1) status=$?
  check "without a GPU: exit 4" exits 4
fi

# Stages with stand-ins for their commands.
run() {
  out=$(bash -uo pipefail -c '
    . scripts/lib/common.sh; . scripts/lib/gpu_stages.sh; emulated=yes quick=yes BUILD=none RESULTS=$0
    commands_test() { say_command good true; say_command absent "exit 77"; say_command never false; }
    commands_bench() { say_command bad "echo broken; exit 3"; say_command slow "sleep 20"; say_command late true; }
    BUDGET[bench]=1; describe_machine >"$RESULTS/machine.txt"
    run_stage test; run_stage bench; cp -r "$1/canned/"* "$RESULTS"; write_report "$1/out"' "$work/results" "$work" 2>&1)
}
mkdir -p "$work/results" "$work/out" "$work/canned/runs/vae" "$work/canned/runs/torn"
echo '{"step": 468, "train_seconds": 0.5, "images_per_second": 119808, "launches_per_step": 12, "test_neg_elbo": 244.35}' \
  >"$work/canned/runs/vae/summary.json"
echo '{"steps": 50, "microseconds": 40.0, "entries": [{"name": "linear", "shape": [128, 400], "forward_us": 4.0, "backward_us": 6.0}]}' \
  >"$work/canned/runs/vae/profile.json"
echo '{"step' >"$work/canned/runs/torn/summary.json"
echo '{"iwae_bound": -236.0, "iwae_samples": 500}' >"$work/canned/bound.json"
cat >"$work/canned/bench_a.device.json" <<'EOT'
{"benchmarks": [
  {"name": "a/reference/7/f32/cpu/real_time", "real_time": 3.0, "time_unit": "ms"},
  {"name": "a/simd/7/f32/cpu-2t/real_time", "real_time": 40.0, "time_unit": "us"},
  {"name": "a/kernel/7/f32/cuda/iterations:30/manual_time", "real_time": 9.0, "time_unit": "us", "median_us": 2.5,
   "roofline_%": 91.2, "spread_%": 3.4, "label": "of copy"}]}
EOT
echo '{"benchmarks": [{"name": "b/simd/7/f32/cpu' >"$work/canned/bench_b.cpu.json" # stopped while it wrote
echo '{"benchmark": "step/conv-vae", "device": "cuda", "form": "captured", "batch": 128, "step_us": 40.0, "images_per_second": 3200000, "launches": 15}' \
  >"$work/canned/step.jsonl"
echo '{"device": "cuda", "variant": "graph-by-hand", "batch": 128, "step_us": 80.0}' >"$work/canned/peers.jsonl"
run
row() { tr -s ' ' <"$work/results/stages.tsv" | cut -f1-3 | grep -qxF "$(printf '%s\t%s\t%s' "$@")"; }
check "a command that passes" row test good passed
check "one that is skipped" row test absent skipped
check "a stage of one chain stops there" [ "$(grep -c ^test "$work/results/stages.tsv")" -eq 2 ]
check "one that fails" row bench bad failed
check "one that runs out of time" row bench slow timeout
check "those after it are not run" row bench late timeout
table() { tr -s ' ' <"$work/out/results.md" | grep -qF "$1"; }
check "the kernel's row has all columns" table "| a | 7 | f32 | 3000.0 | 40.0 | 2.5 | 91% of copy | 3% |"
check "our step" table "| conv-vae | cuda | captured | 128 | 40.0 | 3,200,000 | 15 |"
check "and the peer's" table "| cuda | PyTorch graph-by-hand | 128 | 80.0 | 1,600,000 |"
check "a training" table "| vae | 468 | 0.50 | 119,808 | 12 | neg_elbo 244.35 |"
check "its profile" table "| linear | 128 x 400 | 4.0 | 6.0 | 25.0% |"
check "the published bound" table "with 500 importance samples: -236.00"
check "failures are listed" table "* bench bad: failed"
check "a dry run says so" table "Emulated: a dry run"
check "the log has the output of a failed command" grep -q "^broken$" "$work/out/log.txt"
check "the JSON is whole" python3 -m json.tool "$work/out/results.json" /dev/null

finish
