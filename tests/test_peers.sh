#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The promises of the peers on a device (benchmarks/peers) that need no GPU: help, what they say where their framework is
# absent, limits of time, frozen noise noticed, the benchmarks' shapes; and a dry run on the CPU where the framework is there.
# shellcheck disable=SC2317  # the conditions are called through check
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/script_checks.sh
. tests/script_checks.sh
export PYTHONDONTWRITEBYTECODE=1
declare -A framework=([pytorch_cuda_step]=torch [lookup_peers]=torch [memory_peers]=torch [jax_step]=jax)

mkdir "$work/absent"
for module in torch jax; do echo "raise ImportError('$module: not on this machine')" >"$work/absent/$module.py"; done
for name in "${!framework[@]}"; do
  out=$(PYTHONPATH=$work/absent "benchmarks/peers/$name.py" --help 2>&1) status=$?
  check "$name: --help needs no framework" exits 0
  for option in device quick limit seconds; do check "$name: --help names --$option" says "--$option"; done
  out=$(PYTHONPATH=$work/absent "benchmarks/peers/$name.py" --device cpu --quick 2>&1) status=$?
  check "$name: without its framework, exit 77" exits 77
  check "$name: with the reason" says "${framework[$name]}: not on this machine"
done

python_says() {
  out=$(cd benchmarks/peers && python3 - 2>&1)
  status=$?
}

python_says <<'EOT'
import json, time, types
import device_peer
run = device_peer.Run(types.SimpleNamespace(limit=60, each=0.2, device="cpu", variants=["a", "b", "c", "d"]), "p", "1")
run.attempt({"variant": "a"}, lambda: device_peer.result_of([1e-6, 4e-6, 2e-6]))
def broken(): raise ValueError("it said:\n\nno such mode\nand a long trace")
run.attempt({"variant": "b"}, broken)
def slow():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try: time.sleep(0.01)
        except Exception: pass
run.attempt({"variant": "c"}, slow)
run.options.limit = 0
run.attempt({"variant": "d"}, broken)
run.attempt({"variant": "unwanted"}, broken)
for values in ([1.0] * 10, [float("nan")], [1.0, 2.0] * 5, [1.0, 2.0, 3.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]):
    try:
        device_peer.check_news(values, "noise")
        print("new")
    except RuntimeError as error:
        print(error)
EOT
check "the helpers run" exits 0
check "a result has median, spread and blocks" says '"us": 2.0, "spread": 1.5, "blocks": 3}'
check "what fails is a line with the start of the reason" says '"variant": "b", "failed": "it said: no such mode"}'
check "what takes too long is given up" says '"variant": "c", "failed": "given up after 0 s"}'
check "what has no time left is not run" says '"variant": "d", "failed": "not run: no time left"}'
check "what is not asked for is left out" [ "${out/unwanted/}" = "$out" ]
check "a frozen value is noticed" says "the noise repeats itself: 1 values in 10 steps"
check "and one that is no number" says "the noise is not a number"
check "and one frozen in part" says "the noise repeats itself: 2 values in 10 steps"
check "two equal sums by chance are let through" [ "$(grep -c '^new$' <<<"$out")" -eq 1 ]

python_says <<'EOT'
import re
import lookup_peers, memory_peers
cases = lambda op: open(f"../../tests/cases/{op}.h").read()
timed = cases("nearest_codebook").split("kNearestCodebookTimed")[1]
print("codebook", ["x".join(found) for found in re.findall(r"\{(\d+), (\d+), (\d+)\}", timed)] == lookup_peers.SHAPES)
bench = open("../bench_gaussian_latent.cpp").read() + cases("gaussian_latent")
print("latent", all("{" + shape[:-2].replace("x", ", ") + "}" in bench for shape in memory_peers.LATENT))
print("adam", "652824, 1, 1}" in cases("optimizer") and "1 << 24, 1, 1}" in open("../bench_optimizer.cpp").read())
EOT
for op in codebook latent adam; do check "the shapes of $op are those of our benchmark" says "$op True"; done

lines_are() {  # lines_are WORKLOAD...: every line has the report's fields, and only these workloads, all of them
  python3 - "$@" <<<"$out" 3<&0 <<'EOT'
import json, os, sys
lines = [json.loads(line) for line in os.fdopen(3)]
for line in lines:
    assert {"peer", "version", "workload", "variant", "dtype", "device"} <= line.keys(), line
    assert ("us" in line) != ("failed" in line) and ("batch" in line) != ("shape" in line), line
    assert "failed" in line or line["us"] > 0 and {"spread", "blocks"} <= line.keys(), line
    assert ("step_us" in line) == line["workload"].startswith("step/") or "failed" in line, line
found = {line["workload"] for line in lines if "us" in line}
assert found == set(sys.argv[1:]), found
EOT
}
dry_run() {  # dry_run NAME WORKLOAD...
  local name=$1 options=()
  [ "$name" != pytorch_cuda_step ] || options=(--networks vae conv-vae conv-ae vqvae)
  shift
  if ! python3 -c "import importlib.util as u; exit(not u.find_spec('${framework[$name]}'))"; then
    echo "no ${framework[$name]}: $name is not run"
    return
  fi
  out=$(python3 -W ignore "benchmarks/peers/$name.py" --device cpu --quick --lanes f32 "${options[@]}" 2>/dev/null) status=$?
  check "$name: a dry run exits 0" exits 0
  check "$name: prints the lines of a report" lines_are "$@"
}
dry_run pytorch_cuda_step step/vae-784-400-20 step/conv-vae step/conv-ae step/vqvae
dry_run lookup_peers lookup
dry_run memory_peers latent adam
dry_run jax_step step/vae-784-400-20

finish
