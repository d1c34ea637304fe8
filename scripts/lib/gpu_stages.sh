# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The stages of gpu.sh. commands_STAGE prints one line for each command, "NAME<tab>COMMAND"; run_stage runs them with the
# stage's seconds as the limit for all. Source it; it runs nothing by itself.
# shellcheck disable=SC2154  # emulated and quick are gpu.sh's options, BUILD and RESULTS its folders

readonly ALL_STAGES=(build test step bench determinism sanitize conv train peers lookup cpu)
# Seconds at most. A call of nine minutes has room for whole stages; all of them are done in five such calls, or less.
declare -A BUDGET=([build]=240 [test]=110 [step]=90 [bench]=160 [determinism]=100 [sanitize]=150 [conv]=250 [train]=75
  [peers]=390 [lookup]=115 [cpu]=80)
# Commands that run side by side: no time of theirs is looked at.
declare -A SIDE_BY_SIDE=([sanitize]=12)
readonly ALONE=540 # of a stage that is the only one asked for
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
  cap=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader -i 0 2>/dev/null | tr -d .)
  case $cap in
    '') echo native ;;  # a plan without a card
    90) echo 90a-real ;;
    *) echo "$cap-real" ;;
  esac
}

commit_here() {
  local commit
  if commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
    [ -z "$(git status --porcelain 2>/dev/null)" ] || commit+=" and changes"
    say "$commit"
  else
    cat "$PACK/commit" 2>/dev/null || say unknown
  fi
}

# What is measured, by content: a copy without its history has a version too.
version_here() {
  find CMakeLists.txt cmake engine kernels models apps tests benchmarks scripts -type f -not -name '*.pyc' -print0 |
    sort -z | xargs -0 cat | sha256sum | cut -c1-16
}

describe_machine() {
  date -u +'date: %F %T UTC'
  echo "commit: $(commit_here)"
  echo "cpu: $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(jobs_here) cores"
  echo "load: $(cut -d' ' -f1-3 /proc/loadavg)"
  if [ "$emulated" = yes ]; then echo "device: emulated"; else
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,power.draw,memory.total --format=csv,noheader |
      sed 's/^/device: /'
    echo "nvcc: $(nvcc_version); $(g++ --version | head -n 1); $(cmake --version | head -n 1)"
    echo "library path: ${LD_LIBRARY_PATH:-}; include path: ${CPATH:-}"
  fi
}

cuda_folder() {
  local nvcc
  nvcc=${CUDACXX:-$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")}
  dirname "$(dirname "$(readlink -f "$nvcc")")"
}

# The folder of the Python packages that bring cuDNN and cuBLASLt, where CUDA's own folders have none.
python_nvidia() { python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null; }

# cuBLASLt is opened by name when the program runs, and it and cuDNN may lie in folders that the loader does not know.
use_cuda_libraries() {
  local folder path="" python
  python=$(python_nvidia)
  for folder in "$(cuda_folder)/lib64" "$python"/{cudnn,cu13,cublas}/lib; do
    [ ! -d "$folder" ] || path+="$folder:"
  done
  path+=${LD_LIBRARY_PATH:-}
  [ -z "${path%:}" ] || export LD_LIBRARY_PATH=${path%:}
  [ ! -e "$(cuda_folder)/include/cublasLt.h" ] || return 0
  for folder in "$python"/{cu13,cublas}/include; do
    [ ! -e "$folder/cublasLt.h" ] || export CPATH="$folder${CPATH:+:$CPATH}"
  done
}

# ---------------------------------------------------------------- what each stage runs

say_command() { printf '%s\t%s\n' "$1" "$2"; }

commands_build() {
  local options="-DHOURGLASS_INSTALL=OFF" targets="hourglass cuda_tests all_benchmarks" cudnn
  if [ "$emulated" = yes ]; then
    [ "$quick" = no ] || targets="hourglass test_fill_cuda determinism bench_fill bench_step"
    say_command configure "cmake --preset emulated"
  else
    options+=" -DHOURGLASS_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=$(architecture) -DHOURGLASS_ONEDNN=AUTO"
    options+=" -DCMAKE_BUILD_TYPE=Release -DHOURGLASS_TESTS=ON -DHOURGLASS_BENCHMARKS=ON"
    [ ! -d "$PACK" ] || options+=" -DCMAKE_PREFIX_PATH=$PWD/$PACK/usr"
    if [ ! -e "$(cuda_folder)/include/cudnn.h" ] && cudnn=$(python_nvidia)/cudnn && [ -d "$cudnn" ]; then
      options+=" -DHOURGLASS_CUDNN_INCLUDE=$cudnn/include"
      options+=" -DHOURGLASS_CUDNN_LIBRARY=$(compgen -G "$cudnn/lib/libcudnn.so*" | head -n 1)"
    fi
    say_command configure "cmake -S . -B $BUILD -G Ninja $options"
  fi
  say_command compile "cmake --build $BUILD -j $(jobs_here) --target $targets -- -k 0"
}

commands_test() {
  local filter="-L cuda" at_once=$(($(jobs_here) / 2))
  [ "$quick" = no ] || filter="-R ^FillCuda"
  say_command tests "ctest --test-dir $BUILD $filter --no-tests=error --output-on-failure -j $((at_once > 2 ? at_once : 2)) --output-junit $PWD/$RESULTS/tests.xml"
}

# At the sizes of use, on the real images.
commands_determinism() {
  local options="--seconds $((BUDGET[determinism] - 5))"
  [ "${BUDGET[determinism]}" -ge "$ALONE" ] || options+=" --runs 4"
  [ ! -d "$PACK" ] || options+=" --data-dir $PACK/usr/share/datasets"
  [ "$emulated" = no ] || options="--seconds $((BUDGET[determinism] - 5)) --small --runs 2"
  [ "$quick" = no ] || options+=" --model vae --precision fp32"
  say_command determinism "$BUILD/tests/determinism $options >$RESULTS/determinism.jsonl"
}

op_tests() {
  local source name
  for source in tests/test_*_cuda.cpp tests/test_{execution,gpu,grid_barrier,hopper,mma}.cu; do
    name=$(basename "$source") name=${name%.*}
    [ "$quick" = no ] || [ "$name" = test_fill_cuda ] || continue
    echo "$name"
  done
}

# In the emulator there are no such tools: the dry run runs the tests once, as they are.
commands_sanitize() {
  local tool name sanitizer
  for tool in memcheck racecheck synccheck initcheck; do
    sanitizer="compute-sanitizer --tool $tool --error-exitcode 9"
    [ "$tool" != memcheck ] || sanitizer+=" --report-api-errors no" # some tests make calls fail
    [ "$emulated" = no ] || { [ "$tool" = memcheck ] && sanitizer=env; } || continue
    for name in $(op_tests); do say_command "$tool-$name" "$sanitizer $BUILD/tests/$name --gtest_brief=1"; done
  done
}

# The whole training step of each network, captured and eager, in each precision.
commands_step() {
  local options="--seconds 0.5 --device cuda"
  [ "$emulated" = no ] || options="--seconds 0 --batch 4"
  [ "$quick" = no ] || options="--seconds 0 --model vae --batch 4"
  say_command step "$BUILD/benchmarks/bench_step $options >$RESULTS/step.jsonl"
}

# Those of kernels, first what decides most: bench_step, bench_conv2d and bench_data have lines of their own.
benchmarks() {
  local name
  printf '%s\n' benchmarks/bench_{ceiling,vae_step,gemm,nearest_codebook}.cpp benchmarks/bench_*.cpp |
    sed 's,.*/,,; s,[.]cpp$,,' | awk '!seen[$0]++' | while IFS= read -r name; do
    case $name in bench_step | bench_conv2d | bench_data) continue ;; esac
    [ "$quick" = no ] || [ "$name" = bench_fill ] || continue
    echo "$name"
  done
}

readonly BENCHMARK_OPTIONS="--benchmark_min_time=0.02 --benchmark_out_format=json"

say_benchmark() { # say_benchmark NAME PROGRAM FILTER OUTPUT
  say_command "$1" "$BUILD/benchmarks/$2 $BENCHMARK_OPTIONS --benchmark_filter='$3' --benchmark_out=$RESULTS/$4.json"
}

commands_bench() {
  local name
  for name in $(benchmarks); do say_benchmark "$name" "$name" '/(cuda|emulated)' "$name.device"; done
}

# Ours and cuDNN's, found by search, layer by layer: the layers of the models, then the 26 of the sweep. Each precision
# has a third of the time; alone the stage has time for a longer search and all layers.
commands_conv() {
  [ "$quick" = no ] || return 0
  local type seconds=1
  [ "${BUDGET[conv]}" -ge "$ALONE" ] || seconds=0.3
  for type in bf16 tf32 f32; do
    say_benchmark "$type" bench_conv2d "/$type/(cuda|emulated)" "bench_conv2d.$type"
  done | sed "s/\t/\tHOURGLASS_CUDNN_SECONDS=$seconds /"
}

commands_cpu() {
  local name images=2000
  [ "$emulated" = no ] || images=200
  for name in $(benchmarks); do say_benchmark "$name-cpu" "$name" '/cpu' "$name.cpu"; done
  [ "$quick" = no ] || return 0
  say_command data "$BUILD/benchmarks/bench_data --images $images >$RESULTS/data.jsonl"
  say_benchmark conv-cpu bench_conv2d '/cpu' bench_conv2d.cpu
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

# Each ends by itself within its limit, a compiler's last seconds aside.
commands_peers() {
  say_peer vae "pytorch_cuda_step.py --networks vae" 160
  say_peer jax jax_step.py 90
  say_peer convolutions "pytorch_cuda_step.py --networks conv-vae conv-ae vqvae" 100
}

commands_lookup() {
  say_peer lookup "lookup_peers.py$([ ! -d "$PACK/flash-kmeans" ] || echo " --flash-kmeans $PACK/flash-kmeans")" 60
  say_peer memory memory_peers.py 40
}

say_peer() { # say_peer NAME COMMAND SECONDS
  local options="--limit $3"
  [ "$emulated" = no ] || options="--device cpu --quick"
  say_command "$1" "python3 benchmarks/peers/$2 $options >$RESULTS/peers-$1.jsonl"
}

# ---------------------------------------------------------------- running them

# run_command STAGE NAME COMMAND SECONDS: appends to stages.tsv (stage, command, passed|failed|timeout|skipped, seconds).
run_command() {
  local stage=$1 name=$2 command=$3 left=$4 log=$RESULTS/logs/$1.$2.log began=$SECONDS status=124 word
  printf '\n== %s: %s\n' "$name" "$command" >"$log"
  if [ "$left" -gt 0 ]; then
    timeout --kill-after=5 "$left" bash -c "$command" >>"$log" 2>&1 </dev/null
    status=$?
  fi
  case $status in
    0) word=passed ;;
    77) word=skipped ;;
    124 | 137) word=timeout ;;
    *) word=failed ;;
  esac
  printf '%s\t%s\t%s\t%s\n' "$stage" "$name" "$word" "$((SECONDS - began))" >>"$RESULTS/stages.tsv"
  [ "$word" = passed ] || say "   $name: $word (exit $status)"
  [ "$word" = passed ]
}

# run_stage STAGE: results of an earlier run of the stage give way. Fails if a command failed or ran out of time.
run_stage() {
  local stage=$1 until=$((SECONDS + BUDGET[$1])) most=${BUDGET[$1]} left name command
  local record=$RESULTS/stages.tsv at_once=${SIDE_BY_SIDE[$1]:-1}
  # One of many commands that hangs does not take the time of the others.
  case $stage in sanitize | bench | conv | cpu) most=$(((most + 2) / 3)) ;; esac
  say "== $stage (at most ${BUDGET[$stage]} s)"
  mkdir -p "$RESULTS/logs" && touch "$record" && sed -i "/^$stage\t/d" "$record"
  rm -f "$RESULTS/logs/$stage".*.log
  while IFS=$'\t' read -r name command; do
    left=$((until - SECONDS))
    left=$((left < most ? left : most))
    if [ "$at_once" -gt 1 ]; then
      while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
      run_command "$stage" "$name" "$command" "$left" &
    elif ! run_command "$stage" "$name" "$command" "$left"; then
      case $stage in build | test) break ;; esac
    fi
  done < <("commands_$stage")
  wait
  ! grep -qP "^$stage\t[^\t]*\t(failed|timeout)\t" "$record"
}

# run_stages MINUTES STAGE...: with MINUTES above 0 those that this version of the sources has not been through, as many
# as fit. Fails if one of them did.
run_stages() {
  local minutes=$1 done_before=$RESULTS/done.tsv version stage seconds failed=0 ran=0 left=()
  shift && version=$(version_here)
  for stage; do
    if [ "$minutes" -gt 0 ]; then
      ! grep -qxF "$stage $version" "$done_before" 2>/dev/null || continue
      # The report takes seconds. The first stage runs in any case, in what time there is.
      seconds=$((60 * minutes - SECONDS - 15))
      if [ ${#left[@]} -gt 0 ] || { [ "$ran" -gt 0 ] && [ "$seconds" -lt "${BUDGET[$stage]}" ]; }; then
        left+=("$stage") && continue
      fi
      [ "$seconds" -ge "${BUDGET[$stage]}" ] || BUDGET[$stage]=$seconds
    fi
    ran=$((ran + 1))
    if ! run_stage "$stage"; then
      failed=1
      # Half a build has nothing to measure; what does not compile is recorded, and the rest goes on.
      if [ "$stage" = build ] && grep -qP '^build\t[^\t]*\ttimeout\t' "$RESULTS/stages.tsv"; then
        say "The same command goes on with the build." && break
      fi
    fi
    echo "$stage $version" >>"$done_before"
    write_report "$out" >/dev/null # a call that is killed leaves what it has
  done
  [ ${#left[@]} -eq 0 ] || say "Not yet: ${left[*]}. The same command goes on with them."
  return "$failed"
}

write_report() {
  python3 benchmarks/peers/gpu_report.py "$RESULTS" --out "$1" && cat "$1/results.md"
  local stage log
  for stage in "${ALL_STAGES[@]}"; do
    for log in "$RESULTS/logs/$stage".*.log; do [ ! -e "$log" ] || tail -c 50000 "$log"; done
  done >"$1/log.txt"
  say "Written: $1/results.json, results.md, log.txt"
}

# ---------------------------------------------------------------- what travels

# A rival, in Triton; no part of this project.
pack_flash_kmeans() {
  local folder=$PACK/flash-kmeans
  mkdir -p "$folder" && python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" flash-kmeans &&
    python3 -m zipfile -e "$folder"/*.whl "$folder" && rm "$folder"/*.whl && return
  rm -rf "$folder" && return 1
}

# Headers, CMake files and static libraries of the installed packages, and the data set; shared libraries only where a
# package's CMake files insist on them.
pack_libraries() {
  local package path
  rm -rf "${PACK:?}" && mkdir -p "$PACK"
  commit_here >"$PACK/commit"
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
  mv "$PACK"/usr/include/*-linux-gnu/* "$PACK/usr/include/" # a folder that only its own compiler knows
  pack_flash_kmeans || note "flash-kmeans could not be fetched: the lookup stage goes without it"
  local kib
  kib=$(du -sk "$PACK" | cut -f1)
  say "$PACK: $((kib / 1024)) MB"
  [ "$kib" -le 61440 ] || { note "more than 60 MB"; return 1; }
}
