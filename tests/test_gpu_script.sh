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
for stage in build test determinism sanitize step bench conv train peers lookup cpu; do
  check "the plan has $stage" says "$stage: at most"
done
for source in benchmarks/bench_*.cpp; do check "the plan runs $source" says "benchmarks/$(basename "$source" .cpp) "; done
for source in tests/test_*_cuda.cpp; do
  check "the plan sanitizes $source" says "memcheck-$(basename "$source" .cpp)"
done
for peer in benchmarks/peers/*_peers.py benchmarks/peers/*_cuda_step.py benchmarks/peers/jax_step.py; do
  check "the plan runs $peer" says "$peer"
done
out=$(scripts/gpu.sh --plan 2>&1)
for tool in memcheck racecheck initcheck synccheck; do check "the plan has $tool" says "--tool $tool "; done
names=$(awk -F'\t' 'NF == 1 { stage = $1 } NF > 1 { print stage, $1 }' <<<"$out")
check "every command has a name of its own" [ -z "$(sort <<<"$names" | uniq -d)" ]
seconds=$(sed -n 's/.*: at most \([0-9]*\) s$/\1/p' <<<"$out")
calls=$(awk '{ if (sum + $1 > 525) { ++calls; sum = 0 } sum += $1 } END { print calls + 1 }' <<<"$seconds")
check "five calls of nine minutes have room for all stages" [ "$calls" -le 5 ]
out=$(scripts/gpu.sh --emulated --quick --plan 2>&1)
check "--quick is short" [ "$(wc -l <<<"$out")" -lt 35 ]
for minutes in nonsense 0 ''; do
  out=$(scripts/gpu.sh --minutes "$minutes" 2>&1) status=$?
  check "--minutes '$minutes': exit 2" exits 2
done
out=$(scripts/gpu.sh --stage nonsense 2>&1) status=$?
check "an unknown stage: exit 2" exits 2
check "and is named" says "unknown stage 'nonsense'"
if [ ! -e /dev/nvidia0 ] && ! command -v nvidia-smi >/dev/null; then
  out=$(scripts/gpu.sh --stage test 2>&1) status=$?
  check "without a GPU: exit 4" exits 4
fi

# Stages with stand-ins for their commands.
stages() { # stages SCRIPT: with the functions of gpu.sh, and its options
  out=$(bash -uo pipefail -c ". scripts/lib/common.sh; . scripts/lib/gpu_stages.sh
    emulated=yes quick=yes BUILD=none RESULTS=$work/results out=$work/out
    commands_test() { say_command good true; say_command absent 'exit 77'; say_command never false; }
    commands_bench() { say_command bad 'echo broken; exit 3'; say_command slow 'sleep 20'; say_command late true; }
    commands_sanitize() { for i in 1 2 3 4; do say_command part\$i 'sleep 0.4'; done; say_command wrong false; }
    commands_step() { say_command step true; }
    $1" 2>&1) status=$?
}
mkdir -p "$work/results" "$work/out" "$work/canned/runs/vae" "$work/canned/runs/torn"
row() { grep -qP "^$1\t$2\t$3\t" "$work/results/stages.tsv"; }
stages 'BUDGET[bench]=1; run_stages 0 test bench sanitize'
check "a failure is an exit 1" exits 1
check "a command that passes" row test good passed
check "one that is skipped" row test absent skipped
check "a stage of one chain stops there" [ "$(grep -c ^test "$work/results/stages.tsv")" -eq 2 ]
check "one that fails" row bench bad failed
check "one that runs out of time" row bench slow timeout
check "those after it are not run" row bench late timeout
check "commands side by side all run" row sanitize part4 passed
check "and none is lost" row sanitize wrong failed

rm "$work/results/done.tsv"
stages 'BUDGET[step]=30 BUDGET[bench]=90; run_stages 1 step bench'
check "--minutes: a stage that fits" row step step passed
check "one that does not is left" says "Not yet: bench."
check "the others of this call passed" exits 0
stages 'BUDGET[bench]=1; run_stages 1 step bench'
check "the next call goes on with it" says "== bench"
check "and repeats nothing" [ "$(grep -c '== step' <<<"$out")" -eq 0 ]
stages 'version_here() { echo another; }; run_stages 1 step'
check "other sources are another run" says "== step"
check "each stage leaves a report" [ -s "$work/out/results.json" ]
stages 'commands_build() { say_command compile "sleep 20"; }; BUDGET[build]=1; run_stages 1 build step'
check "half a build is a failure" exits 1
check "after which nothing is measured" [ "$(grep -c '== step' <<<"$out")" -eq 0 ]
stages 'commands_build() { say_command compile true; }; run_stages 1 build step'
check "and which the next call goes on with" says "== build"

echo '{"step": 100000, "train_seconds": 7.5, "images_per_second": 119808, "launches_per_step": 12, "test_neg_elbo": 244.35}' \
  >"$work/canned/runs/vae/summary.json"
echo '{"steps": 50, "microseconds": 40.0, "entries": [{"name": "linear", "shape": [128, 400], "forward_us": 4.0, "backward_us": 6.0}]}' \
  >"$work/canned/runs/vae/profile.json"
echo '{"step' >"$work/canned/runs/torn/summary.json"
echo '{"iwae_bound": -236.0, "iwae_samples": 500}' >"$work/canned/bound.json"
cat >"$work/canned/bench_a.device.json" <<'EOT'
{"benchmarks": [
  {"name": "a/reference/7/f32/cpu/real_time", "real_time": 3.0, "time_unit": "ms"},
  {"name": "a/simd/7/f32/cpu-2t/real_time", "real_time": 40.0, "time_unit": "us"},
  {"name": "a/kernel/7/f32/cuda/iterations:30/manual_time", "real_time": 9.0, "time_unit": "us", "median_us": 50.0,
   "roofline_%": 91.2, "spread_%": 3.4, "aa_%": 0.7, "GB/s": 2600.0, "label": "of copy"},
  {"name": "conv/tiles-bias-relu/c1/bf16/cuda/manual_time", "real_time": 10.0, "time_unit": "us"},
  {"name": "conv/tiles/c1/bf16/cuda/manual_time", "real_time": 8.0, "time_unit": "us"},
  {"name": "conv/cudnn/c1/bf16/cuda/manual_time", "real_time": 20.0, "time_unit": "us", "label": "of peak; engine 62"},
  {"name": "barrier/cluster/16/none/cuda/manual_time", "error_occurred": true, "error_message": "needs 9.0"},
  {"name": "conv/tiles/c2/bf16/cuda/manual_time", "real_time": 8.0, "time_unit": "us"},
  {"name": "conv/cudnn/c2/bf16/cuda/manual_time", "real_time": 5.0, "time_unit": "us"},
  {"name": "nearest_codebook/tiles/4x2x1/f32/cuda/manual_time", "real_time": 2.0, "time_unit": "us"}]}
EOT
echo '{"benchmarks": [{"name": "copy/quads/1024/f32/cuda/manual_time", "real_time": 2.0, "time_unit": "us", "GB/s": 2950.0}]}' \
  >"$work/canned/bench_ceiling.device.json"
cat >"$work/canned/bench_b.cpu.json" <<'EOT'
{"benchmarks": [
  {"name": "b/simd/7/f32/cpu/real_time", "real_time": 6.0, "time_unit": "us"},
  {"name": "b/simd/8/f32/cpu
EOT
echo '{"benchmark": "step/conv-vae", "device": "cuda", "form": "captured", "dtype": "f32", "batch": 128, "step_us": 40.0, "images_per_second": 3200000, "launches": 15}' \
  >"$work/canned/step.jsonl"
cat >"$work/canned/peers-pytorch.jsonl" <<'EOT'
{"peer": "pytorch", "device": "cuda", "workload": "step/conv-vae", "variant": "graph-by-hand", "dtype": "f32", "batch": 128, "us": 80.0}
{"peer": "pytorch", "device": "cuda", "workload": "step/conv-vae", "variant": "eager", "dtype": "f32", "batch": 128, "us": 800.0}
{"peer": "jax", "device": "cuda", "workload": "step/conv-vae", "variant": "scan", "dtype": "f32", "batch": 128, "failed": "no such flag"}
{"peer": "flash-kmeans", "device": "cuda", "workload": "lookup", "variant": "triton", "dtype": "bf16", "shape": "4x2x1", "us": 5.0}
EOT
echo '{"benchmark": "data/files", "threads": 16, "images": 2000, "images_per_second": 12345}' >"$work/canned/data.jsonl"
echo '{"model": "vae", "precision": "tf32", "runs": 10, "hashes": 1, "eager_equals_captured": true, "curve_max_relative_difference": 4.03e-8, "tolerance": 0.001, "ok": true}' >"$work/canned/determinism.jsonl"
stages 'describe_machine >"$RESULTS/machine.txt"; cp -r '"$work"'/canned/* "$RESULTS"; write_report '"$work/out"
tr -s ' ' <"$work/out/results.md" >"$work/tables"
table() { grep -qF -- "$1" "$work/tables"; } # no pipe: grep ends before its feeder, which then fails
check "the kernel's row has all columns" table "| a | 7 | f32 | 3000.0 | 40.0 | 50.0 | kernel | 91% of copy | 3%, 1% |"
check "what a stopped program had measured" table "| b | 7 | f32 | | 6.0 | | | | | | |"
check "a library beside ours" table "| conv | c1 | bf16 | | | 8.0 | tiles | | | 20.0 engine 62 | 2.50x |"
check "like beside like" table "| conv + bias + relu | c1 | bf16 | | | 10.0 | tiles | | | | |"
check "and over all shapes" table "| conv, bf16, geometric mean of 2 shapes | | 1.25x cudnn's speed |"
check "bandwidth" table "| median 91%, least 91% (a) |"
check "a ceiling" table "| copy | quads | 1024 | f32 | cuda | 2 | 2,950 GB/s |"
check "our step" table "| conv-vae | cuda | captured | f32 | 128 | 40.0 | 3,200,000 | 15 |"
check "and the peer's" table "| conv-vae | cuda | pytorch eager | f32 | 128 | 800.0 | 160,000 |"
check "beside each other" table "| training step of conv-vae, batch 128, f32 | 40.0 us, captured | 80.0 us, pytorch graph-by-hand (2.0x) |"
check "a peer that could not run" table "* jax scan, step/conv-vae 128: no such flag"
check "a peer's call" table "| lookup | 4x2x1 | bf16 | 2.0 in f32 | 5.0 | flash-kmeans triton | 2.5x |"
check "a case that cannot run here" table "| barrier | cluster | 16 | none | needs 9.0 |"
check "a training" table "| vae | 100000 | 7.50 | 119,808 | 12 | neg_elbo 244.35 |"
check "its profile" table "| linear | 128 x 400 | 4.0 | 6.0 | 25.0% |"
check "the published bound" table "with 500 importance samples: -236.00"
check "determinism" table "| vae | tf32 | 10 | 1 | True | 4.0e-08 | 0.001 | yes |"
check "data" table "| files | 16 | 12,345 |"
check "failures are listed" table "* bench bad: failed"
check "a dry run says so" table "Emulated: a dry run"
check "the log has the output of a failed command" grep -q "^broken$" "$work/out/log.txt"
check "the JSON is whole" python3 -m json.tool "$work/out/results.json" /dev/null

# README's table is that of the newest run on a card, and dry runs do not count.
out=$(cp README.md "$work/README.md" && python3 benchmarks/peers/gpu_tables.py benchmarks/results "$work/README.md" 2>&1) status=$?
check "README's table is what --readme writes" cmp -s README.md "$work/README.md"
mkdir -p "$work/runs/card-2026-01-02" "$work/runs/emulated-2026-01-03"
cp "$work/out/results.json" "$work/runs/emulated-2026-01-03"
sed 's/"emulated": true/"emulated": false/; s/device: emulated/device: Card 9, 1 MHz/' "$work/out/results.json" \
  >"$work/runs/card-2026-01-02/results.json"
out=$(python3 benchmarks/peers/gpu_tables.py "$work/runs" "$work/README.md" 2>&1 && tr -s ' ' <"$work/README.md") status=$?
check "a run on a card fills it" says "| 40.0 us, captured"
check "and is named" says "Card 9, commit"

finish
