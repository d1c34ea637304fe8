# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The stages of gpu.sh. commands_STAGE prints one line for each command, "NAME<tab>COMMAND"; run_stage runs them in turn
# with the stage's seconds as the limit for all. Source it; it runs nothing by itself.
# shellcheck disable=SC2154  # emulated and quick are gpu.sh's options, BUILD and RESULTS its folders

readonly ALL_STAGES=(build test train sanitize bench peers)
declare -A BUDGET=([build]=180 [test]=110 [train]=75 [sanitize]=75 [bench]=100 [peers]=55)
readonly PACK=.gpu-pack
readonly PACKED=(libgtest-dev libbenchmark-dev libbenchmark1debian libcli11-dev nlohmann-json3-dev libpng-dev zlib1g-dev
  libjpeg62-turbo-dev dataset-fashion-mnist)

device_name() {
  if [ "$emulated" = yes ]; then echo emulated; else
    nvidia-smi --query-gpu=name --format=csv,noheader -i 0 | tr -cs 'A-Za-z0-9\n' '-' | head -n 1
  fi
}

# The architecture of the card: 90a for Hopper, whose own instructions need it.
architecture() {
  local cap
  cap=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 | tr -d .)
  if [ "$cap" = 90 ]; then echo 90a-real; else echo "$cap-real"; fi
}

describe_machine() {
  date -u +'date: %F %T UTC'
  echo "commit: $(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
  echo "cpu: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(jobs_here) cores"
  echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"
  if [ "$emulated" = yes ]; then echo "device: emulated"; else
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.draw,memory.total --format=csv,noheader |
      sed 's/^/device: /'
    echo "nvcc: $(nvcc_version)"
  fi
}

# ---------------------------------------------------------------- what each stage runs

say_command() { printf '%s\t%s\n' "$1" "$2"; }

commands_build() {
  local options="-DHOURGLASS_INSTALL=OFF" targets="hourglass cuda_tests all_benchmarks"
  if [ "$emulated" = yes ]; then
    [ "$quick" = no ] || targets="hourglass test_fill_cuda bench_fill bench_step"
    say_command configure "cmake --preset emulated"
  else
    options+=" -DHOURGLASS_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=$(architecture) -DHOURGLASS_ONEDNN=AUTO"
    options+=" -DCMAKE_BUILD_TYPE=Release -DHOURGLASS_TESTS=ON -DHOURGLASS_BENCHMARKS=ON"
    [ ! -d "$PACK" ] || options+=" -DCMAKE_PREFIX_PATH=$PWD/$PACK/usr"
    say_command configure "cmake -S . -B $BUILD -G Ninja $options"
  fi
  say_command compile "cmake --build $BUILD -j $(jobs_here) --target $targets -- -k 0"
}

commands_test() {
  local filter="-L cuda"
  [ "$quick" = no ] || filter="-R ^FillCuda"
  say_command tests "ctest --test-dir $BUILD $filter --no-tests=error --output-on-failure --timeout 100 -j 4 --output-junit $PWD/$RESULTS/tests.xml"
}

# What a user runs: a profile of each kind of network, and the 100,000 steps of a published result with its bound.
commands_train() {
  local program=$BUILD/apps/hourglass runs=$RESULTS/runs data="" few="--epochs 5" all="" bound="--iwae-samples 500" model
  [ ! -d "$PACK" ] || data="--data-dir $PACK/usr/share/datasets"
  if [ "$emulated" = yes ]; then
    data="--data shapes:8:200 --batch 10" few="--steps 12" all="--steps 12" bound="--iwae-samples 2"
  fi
  local options="--device cuda --profile $([ "$emulated" = yes ] && echo 4 || echo 50) --quiet --overwrite $data"
  for model in vae conv-vae vqvae; do
    [ "$quick" = no ] || [ "$model" = vae ] || continue
    say_command "$model" "$program train $model $few $options --out $runs/$model"
  done
  say_command paper "$program train --preset vae-2506.07687 $all $options --out $runs/vae-2506.07687"
  say_command paper-bound "$program eval $runs/vae-2506.07687 --device cuda $bound --json >$RESULTS/bound.json"
}

op_tests() {
  local source name
  for source in tests/test_*_cuda.cpp; do
    name=$(basename "$source" .cpp)
    [ "$quick" = no ] || [ "$name" = test_fill_cuda ] || continue
    echo "$name"
  done
}

commands_sanitize() {
  local tool name sanitizer
  for tool in memcheck racecheck initcheck synccheck; do
    # In the emulator there is no such tool: the dry run runs the test as it is.
    sanitizer="compute-sanitizer --tool $tool --error-exitcode 9"
    [ "$emulated" = no ] || sanitizer=env
    for name in $(op_tests); do say_command "$tool-$name" "$sanitizer $BUILD/tests/$name --gtest_brief=1"; done
  done
}

benchmarks() {
  local source name
  for source in benchmarks/bench_*.cpp; do
    name=$(basename "$source" .cpp)
    case $name in bench_step) continue ;; esac
    [ "$quick" = no ] || [ "$name" = bench_fill ] || continue
    echo "$name"
  done
}

# The step and the device first: the CPU's cases take what time is left.
commands_bench() {
  local name options="--benchmark_min_time=0.02 --benchmark_out_format=json"
  local step="--seconds 3"
  [ "$quick" = no ] || step="--seconds 0 --model vae --batch 4"
  say_command step "$BUILD/benchmarks/bench_step $step >$RESULTS/step.jsonl"
  for name in $(benchmarks); do
    say_command "$name" "$BUILD/benchmarks/$name $options --benchmark_filter=/\\(cuda\\|emulated\\) --benchmark_out=$RESULTS/$name.device.json"
  done
  for name in $(benchmarks); do
    say_command "$name-cpu" "$BUILD/benchmarks/$name $options --benchmark_filter=/cpu --benchmark_out=$RESULTS/$name.cpu.json"
  done
}

commands_peers() {
  local options=""
  [ "$emulated" = no ] || options+=" --device cpu"
  [ "$quick" = no ] || options+=" --quick"
  say_command pytorch "python3 benchmarks/peers/pytorch_cuda_step.py$options >$RESULTS/peers.jsonl"
}

# ---------------------------------------------------------------- running them

# run_stage STAGE: appends to log and to stages.tsv (stage, command, passed|failed|timeout|skipped, seconds). Results of
# an earlier run of the stage give way.
run_stage() {
  local stage=$1 until=$((SECONDS + BUDGET[$1])) name command began status word bad=0
  local log=$RESULTS/$stage.log record=$RESULTS/stages.tsv most=${BUDGET[$1]} left
  # One of many commands that hangs does not take the time of the others.
  case $stage in sanitize | bench) most=$(((most + 2) / 3)) ;; esac
  say "== $stage (at most ${BUDGET[$stage]} s)"
  touch "$record" && sed -i "/^$stage\t/d" "$record"
  : >"$log"
  while IFS=$'\t' read -r name command; do
    began=$SECONDS status=124
    printf '\n== %s: %s\n' "$name" "$command" >>"$log"
    left=$((until - SECONDS))
    if [ "$left" -gt 0 ]; then
      timeout --kill-after=5 "$((left < most ? left : most))" bash -c "$command" >>"$log" 2>&1 </dev/null
      status=$?
    fi
    case $status in
      0) word=passed ;;
      77) word=skipped ;;
      124 | 137) word=timeout bad=1 ;;
      *) word=failed bad=1 ;;
    esac
    printf '%s\t%s\t%s\t%s\n' "$stage" "$name" "$word" "$((SECONDS - began))" >>"$record"
    case $word in passed) ;; *) say "   $name: $word (exit $status)" ;; esac
    case $stage in build | test | peers) [ "$word" = passed ] || break ;; esac
  done < <("commands_$stage")
  return "$bad"
}

write_report() {
  python3 benchmarks/peers/gpu_report.py "$RESULTS" --out "$1" && cat "$1/results.md"
  cat "$RESULTS"/*.log >"$1/log.txt" 2>/dev/null
  say "Written: $1/results.json, results.md, log.txt"
}

# ---------------------------------------------------------------- what travels

# Headers, CMake files and static libraries of the installed packages, and the data set; shared libraries only where a
# package's CMake files insist on them.
pack_libraries() {
  local package path
  rm -rf "${PACK:?}" && mkdir -p "$PACK"
  for package in "${PACKED[@]}"; do
    installed "$package" || { note "$package is not installed: scripts/test.sh installs it"; return 1; }
    dpkg -L "$package" | while IFS= read -r path; do
      [ ! -d "$path" ] || continue
      case $path in
        /usr/share/doc/* | /usr/share/man/* | /usr/share/lintian/*) continue ;;
        *.so*) case $path in *libbenchmark*) ;; *) continue ;; esac ;;
      esac
      mkdir -p "$PACK$(dirname "$path")" && cp -P "$path" "$PACK$path"
    done
  done
  local kib
  kib=$(du -sk "$PACK" | cut -f1)
  say "$PACK: $((kib / 1024)) MB"
  [ "$kib" -le 61440 ] || { note "more than 60 MB"; return 1; }
}
