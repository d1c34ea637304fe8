#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The promises of scripts/*.sh about installing, counting and the table, with stand-ins for apt-get, dpkg-query, id,
# nvidia-smi and nvcc in front of PATH. Nothing is installed, built or trained.
# shellcheck disable=SC2317  # the conditions are called through check
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=tests/script_checks.sh
. tests/script_checks.sh

# stand_in NAME BODY: a command of that name in front of PATH.
stand_in() {
  mkdir -p "$work/bin"
  printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}

# machine ROOT|USER PACKAGE...: a machine with everything but these packages; apt-get records what it is asked for,
# and a package counts as installed once it has been.
machine() {
  local id=1000
  [ "$1" = USER ] || id=0
  shift
  rm -rf "${work:?}/bin"
  : >"$work/apt"
  stand_in id "echo $id"
  stand_in dpkg-query "for last; do :; done
    case ' $* ' in *\" \$last \"*) grep -q -w -e \"\$last\" '$work/apt' || exit 1 ;; esac
    echo installed"
  stand_in apt-get "echo \"\$*\" >>'$work/apt'"
}

# ensure MAY_INSTALL: runs ensure_packages as a script of its own; output in $out, exit status in $status.
ensure() {
  out=$(PATH="$work/bin:$PATH" bash -euo pipefail -c '. scripts/lib/common.sh; ensure_packages "$0"; echo went on' \
    "$1" 2>&1 </dev/null)
  status=$?
}

silent_about() { [[ $out != *"$1"* ]]; }
asked() { grep -q -- "$1" "$work/apt"; }
not_asked() { [ ! -s "$work/apt" ]; }
unset HOURGLASS_DATA

machine USER
ensure yes
check "a complete machine goes on without root" exits 0
check "and prints no install line" silent_about apt-get
check "and asks apt-get for nothing, so works offline" not_asked

machine ROOT
ensure yes
check "a complete machine goes on as root" exits 0
check "and asks apt-get for nothing" not_asked

machine ROOT libpng-dev
ensure yes
check "root installs what is missing" asked "install -y --no-install-recommends libpng-dev$"
check "after printing the line" says "apt-get install -y --no-install-recommends libpng-dev"
check "and goes on" says "went on"
check "without asking sudo" silent_about sudo

machine USER libpng-dev dataset-fashion-mnist
ensure yes
check "without root: exit 2" exits 2
check "with the line to run" says "sudo apt-get install -y --no-install-recommends libpng-dev dataset-fashion-mnist"
check "and nothing asked" not_asked

machine ROOT libpng-dev
ensure no
check "--no-install with something required missing: exit 2" exits 2
check "with the line to run" says "apt-get install -y --no-install-recommends libpng-dev"
check "and nothing asked" not_asked

machine USER dataset-fashion-mnist libdnnl-dev
ensure no
check "--no-install goes on without the data set and oneDNN" says "went on"
check "and says so" says "Going on without libdnnl-dev dataset-fashion-mnist"
check "and nothing asked" not_asked

machine USER dataset-fashion-mnist
mkdir -p "$work/data/fashion-mnist" && : >"$work/data/fashion-mnist/train-images-idx3-ubyte"
HOURGLASS_DATA=$work/data ensure yes
check "the data set in HOURGLASS_DATA counts as present" says "went on"

machine ROOT dataset-fashion-mnist
stand_in apt-get "echo \"\$*\" >>'$work/apt'; case \"\$*\" in *dataset*) exit 100 ;; esac"
ensure yes
check "a data set that cannot be installed is done without" says "went on"
check "and named" says "Could not install dataset-fashion-mnist"

machine ROOT libpng-dev
stand_in apt-get 'exit 100'
ensure yes
check "a required package that cannot be installed: exit 2" exits 2
check "and named" says "could not install libpng-dev"

for script in quickstart test; do
  out=$(scripts/$script.sh --no-such-option 2>&1) status=$?
  check "$script: an unknown option exits 2" exits 2
  check "$script: and is named" says "unknown option '--no-such-option'"
  out=$(scripts/$script.sh --help 2>&1) status=$?
  check "$script: --help exits 0" exits 0
  machine USER zlib1g-dev
  out=$(PATH="$work/bin:$PATH" scripts/$script.sh 2>&1 </dev/null) status=$?
  check "$script: without root and with something missing, exit 2" exits 2
  check "$script: with the line to run" says "sudo apt-get install -y --no-install-recommends zlib1g-dev"
done

# What a GPU and an nvcc, or the lack of them, make of HOURGLASS_CUDA. Stand-ins take the place of what this machine has.
no_cuda=$work/no-cuda
mkdir -p "$no_cuda" && cp -r scripts "$no_cuda"
sed -i "s|/dev/nvidia|$work/dev/nvidia|; s|/usr/local/cuda|$work/prefix|" "$no_cuda/scripts/lib/common.sh"
unset CUDACXX CUDA_HOME CUDA_PATH
nvcc_in() {  # nvcc_in FOLDER VERSION
  mkdir -p "$1"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\n[ "$1" = --version ] || exit 1\necho "Cuda compilation tools, release %s, V%s.99"\n' "$2" "$2" >"$1/nvcc"
  chmod +x "$1/nvcc"
}
choose() {
  out=$(cd "$no_cuda" && PATH="$work/bin:/usr/bin:/bin" bash -euo pipefail -c '
    . scripts/lib/common.sh; choice=$(choose_cuda); echo "HOURGLASS_CUDA=$choice"' script 2>&1)
  status=$?
}
machine USER
stand_in nvidia-smi 'exit 9'
nvcc_in "$work/prefix/bin" 13.0
choose
check "without a GPU no CUDA code is built" says "HOURGLASS_CUDA=OFF"
check "and nothing is said about it" silent_about GPU
stand_in nvidia-smi 'exit 0'
choose
check "with a GPU and nvcc it is" says "HOURGLASS_CUDA=AUTO"
check "from NVIDIA's default prefix" says "nvcc 13.0"
stand_in nvidia-smi 'exit 9'
mkdir -p "$work/dev" && : >"$work/dev/nvidia3"
choose
check "a device file shows a GPU too" says "HOURGLASS_CUDA=AUTO"
nvcc_in "$work/home/bin" 12.6
CUDA_HOME=$work/home choose
check "CUDA_HOME goes before the prefix" says "nvcc 12.6"
nvcc_in "$work/bin" 11.8
CUDA_HOME=$work/home choose
check "PATH before CUDA_HOME; an nvcc that is too old is named" says "There is a GPU but nvcc 11.8 is too old"
check "with what to install" says "CUDA 12.4 or newer from NVIDIA"
check "and the CPU is used" says "Using the CPU"
check "so no CUDA code is built" says "HOURGLASS_CUDA=OFF"
CUDACXX=$work/home/bin/nvcc choose
check "CUDACXX goes before PATH" says "HOURGLASS_CUDA=AUTO"
rm -r "$work/bin/nvcc" "$work/prefix"
choose
check "a GPU without nvcc: says what to install" says "There is a GPU but no nvcc: a CUDA build needs CUDA 12.4 or newer"
check "and uses the CPU" says "HOURGLASS_CUDA=OFF"
check "and goes on" exits 0

# The same choice by CMake; as a script cmake/cuda.cmake ends where it would enable the language.
configure() {  # configure HOURGLASS_CUDA
  out=$(PATH="$work/bin:/usr/bin:/bin" cmake -DHOURGLASS_CUDA="$1" -DPROJECT_BINARY_DIR="$work/cmake" -P "$no_cuda/cuda.cmake" 2>&1)
  status=$?
}
one_line() { [ "$(printf '%s\n' "$out" | wc -l)" -eq 1 ]; }
sed "s|/usr/local/cuda/bin|$work/prefix/bin|" cmake/cuda.cmake >"$no_cuda/cuda.cmake"
configure AUTO
check "AUTO without nvcc builds for the CPU" exits 0
check "and says so in one line" one_line
check "which names the places" says "no nvcc in CUDACXX, PATH, CUDA_HOME or /usr/local/cuda: builds for the CPU"
configure ON
check "ON without nvcc stops" exits 1
nvcc_in "$work/bin" 11.8
configure AUTO
check "AUTO with an old nvcc builds for the CPU" exits 0
check "and says so in one line" one_line
check "with both versions" says "$work/bin/nvcc is version 11.8, and Hourglass needs 12.4 or newer: builds for the CPU"
configure ON
check "ON with an old nvcc stops" exits 1
check "and names it" says "version 11.8"
CUDACXX=$work/home/bin/nvcc configure AUTO
check "AUTO with an nvcc that builds nothing, such as one older than the compiler, is for the CPU" exits 0
check "and says so" says "$work/home/bin/nvcc cannot build a program"
CUDACXX=$work/home/bin/nvcc configure ON
check "CUDACXX goes before PATH" says "CUDA kernels by nvcc 12.6"
rm "$work/bin/nvcc"
CUDA_HOME=$work/home configure ON
check "CUDA_HOME is looked at" says "CUDA kernels by nvcc 12.6"
nvcc_in "$work/prefix/bin" 13.0
configure ON
check "and NVIDIA's default prefix" says "CUDA kernels by nvcc 13.0"

# A copy of the scripts with a stand-in for the program, which knows Fashion-MNIST only when HAVE_DATA is set.
clone=$work/clone
mkdir -p "$clone/build/release/apps" && cp -r "$no_cuda/scripts" "$clone"
cat >"$clone/build/release/apps/hourglass" <<'EOF'
#!/bin/sh
echo "$*" >>calls
case "$*" in
  *fashion-mnist*) [ -n "${HAVE_DATA:-}" ] || { echo "the four files and their checksums" >&2; exit 3; } ;;
esac
[ -z "${FAIL:-}" ] || exit "$FAIL"
mkdir -p runs/quickstart/figures
for name in samples reconstructions curves; do echo png >runs/quickstart/figures/$name.png; done
EOF
chmod +x "$clone/build/release/apps/hourglass"
quickstart() {
  rm -rf "$clone/runs" "$clone/calls" "$clone/cmake"
  machine USER
  stand_in nvidia-smi 'exit 9'
  stand_in cmake "echo \"\$*\" >>'$clone/cmake'; echo cmake version 3.25.1"
  out=$(CUDACXX=$work/prefix/bin/nvcc PATH="$work/bin:$PATH" "$clone/scripts/quickstart.sh" 2>&1 </dev/null)
  status=$?
}
configured() { grep -q -e "--preset release -DHOURGLASS_CUDA=$1 " "$clone/cmake"; }
trained_on() { [ "$(grep -c . "$clone/calls")" -eq "$2" ] && tail -n 1 "$clone/calls" | grep -q -- "--data $1 "; }
HAVE_DATA=1 quickstart
check "quickstart trains once on Fashion-MNIST" trained_on fashion-mnist 1
check "with CUDA code where there is a GPU and nvcc" configured AUTO
check "and names the pictures" says "$clone/runs/quickstart/figures/samples.png"
check "and exits 0" exits 0
rm "$work/dev/nvidia3"
quickstart
check "without a GPU it builds no CUDA code" configured OFF
check "without Fashion-MNIST it trains on shapes" trained_on shapes 2
check "passes on what the program says about the files" says "the four files and their checksums"
check "and still makes pictures" says "$clone/runs/quickstart/figures/reconstructions.png"
check "and exits 0" exits 0
HAVE_DATA=1 FAIL=5 quickstart
check "another failure of the program is the quickstart's" exits 5

cat >"$work/junit.xml" <<'EOF'
<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="Linux-c++"
  tests="5"
  failures="1"
  disabled="1"
  skipped="1"
  hostname="" time="0">
  <testcase name="a" classname="a" time="0.1" status="run"><system-out>fine</system-out></testcase>
  <testcase name="b" classname="b" time="0.1" status="notrun">
    <skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
    <system-out>[ RUN      ] B
tests/test_b.cpp:7: Skipped
no &lt;torch&gt; here

[  SKIPPED ] B (0 ms)
</system-out>
  </testcase>
  <testcase name="c" classname="c" time="0.1" status="disabled"/>
  <testcase name="d" classname="d" time="0.1" status="fail"><failure message=""/><system-out>no</system-out></testcase>
  <testcase name="e" classname="e" time="0.1" status="run"><system-out/></testcase>
</testsuite>
EOF
table() {
  out=$(bash -euo pipefail -c '. scripts/lib/results.sh; '"$1"'; print_table 90' script 2>&1)
  status=$?
}
table "add_tests suite '$work/junit.xml' 8 60; add_skip CUDA 'no sources'"
check "the closing line counts every test once" says $'\n2 passed, 1 failed, 3 skipped'
check "a skipped test's reason is GoogleTest's" says "1 x SKIPPED: no <torch> here  [suite]"
check "a disabled test is skipped" says "1 x SKIPPED: disabled"
check "a step with nothing to do has its reason" says "1 x SKIPPED: CUDA, no sources"
check "minutes" says "1.5"
table "add_tests suite '$work/none.xml' 8 60"
check "CTest that left no results is a failure" says "0 passed, 1 failed, 0 skipped"
sed 's/failures="1"/failures="0"/' "$work/junit.xml" >"$work/green.xml"
table "add_tests suite '$work/green.xml' 8 60"
check "so is CTest that fails without a failed test" says "2 passed, 1 failed, 2 skipped"

finish
