# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What quickstart.sh and test.sh share: messages, the packages, the devices. Source it; it runs nothing by itself.
# Exit codes are those of the program: 1 internal, 2 usage.

readonly CMAKE_NEEDED=3.25 GCC_NEEDED=12 NVCC_NEEDED=12.4

# Debian 12 and Ubuntu 24.04 use the same names. REQUIRED: no build without it. WANTED: the build goes on without it,
# slower (libdnnl-dev, ccache) or on drawn shapes (dataset-fashion-mnist). The test packages are added by test.sh.
REQUIRED=(g++ cmake ninja-build libcli11-dev nlohmann-json3-dev libpng-dev libjpeg-dev zlib1g-dev)
WANTED=(libdnnl-dev dataset-fashion-mnist)

say() { printf '%s\n' "$*"; }
note() { printf '%s\n' "$*" >&2; }
die() {  # die CODE MESSAGE
  printf '%s: %s\n' "$(basename "$0")" "$2" >&2
  exit "$1"
}

jobs_here() { nproc 2>/dev/null || echo 2; }

# at_least HAVE NEED: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

# A tool counts as present when its command is there, however it was installed; a library when its package is, and the
# data set when its files are.
present() {
  case $1 in
    g++ | cmake | ccache) command -v "$1" >/dev/null ;;
    ninja-build) command -v ninja >/dev/null ;;
    dataset-fashion-mnist) fashion_mnist_present ;;
    *) installed "$1" ;;
  esac
}

fashion_mnist_present() {
  installed dataset-fashion-mnist && return
  [ -n "${HOURGLASS_DATA:-}" ] || return 1
  compgen -G "$HOURGLASS_DATA/fashion-mnist/*-ubyte*" >/dev/null || compgen -G "$HOURGLASS_DATA/*-ubyte*" >/dev/null
}

# missing PACKAGE...: prints those that are not present, one a line.
missing() {
  local package
  for package; do present "$package" || printf '%s\n' "$package"; done
}

install_line() {  # install_line PACKAGE...
  local sudo='sudo '
  [ "$(id -u)" -ne 0 ] || sudo=''
  say "${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends $*"
}

run_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 install -y \
    --no-install-recommends "$@" </dev/null
}

# ensure_packages MAY_INSTALL: installs what is missing of REQUIRED and WANTED. Exits 2 where something required is
# missing and may not be installed; wanted packages that cannot be had are reported and done without.
ensure_packages() {
  local may_install=$1 required=() wanted=() absent=()
  if ! command -v dpkg-query >/dev/null; then
    note "This is not a Debian or Ubuntu system: nothing is checked or installed. Needed are the counterparts of:"
    note "  ${REQUIRED[*]} ${WANTED[*]}"
    return
  fi
  mapfile -t required < <(missing "${REQUIRED[@]}")
  mapfile -t wanted < <(missing "${WANTED[@]}")
  absent=("${required[@]}" "${wanted[@]}")
  [ ${#absent[@]} -gt 0 ] || return 0

  say "Missing packages: ${absent[*]}"
  say "  $(install_line "${absent[@]}")"
  if [ "$may_install" = no ]; then
    [ ${#required[@]} -eq 0 ] || die 2 "cannot go on without ${required[*]}; install them with the line above"
    note "Going on without ${wanted[*]} (--no-install)."
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    [ ${#required[@]} -gt 0 ] || note "--no-install goes on without them."
    die 2 "installing needs root: run the line above, then this script again"
  fi
  apt-get -o Acquire::Retries=3 update </dev/null || note "apt-get update failed; trying with the package lists at hand."
  if [ ${#wanted[@]} -eq 0 ] || ! run_install "${absent[@]}"; then
    [ ${#required[@]} -eq 0 ] || run_install "${required[@]}" || die 2 "could not install ${required[*]}"
    local package
    for package in "${wanted[@]}"; do
      run_install "$package" || note "Could not install $package: going on without it."
    done
  fi
}

# The compiler and CMake may be older than the distributions above bring.
check_versions() {
  local cmake gcc compiler=${CXX:-g++}
  command -v cmake >/dev/null || die 2 "cmake not found; needed is CMake $CMAKE_NEEDED or newer"
  command -v "$compiler" >/dev/null || die 2 "compiler $compiler not found; needed is g++ $GCC_NEEDED or newer"
  cmake=$(cmake --version | sed -n '1s/.* //p')
  at_least "$cmake" "$CMAKE_NEEDED" || die 2 "CMake $cmake is too old: needed is $CMAKE_NEEDED or newer"
  gcc=$("$compiler" -dumpfullversion 2>/dev/null || echo unknown)
  case $compiler in
    *g++*) at_least "$gcc" "$GCC_NEEDED" || die 2 "g++ $gcc is too old: needed is $GCC_NEEDED or newer" ;;
  esac
}

gpu_present() {
  compgen -G '/dev/nvidia[0-9]*' >/dev/null || { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }
}

# nvcc_version: prints the version of the nvcc that a build takes (cmake/cuda.cmake), or fails.
nvcc_version() {
  local nvcc=${CUDACXX:-} folder
  [ -n "$nvcc" ] || nvcc=$(command -v nvcc) || for folder in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [ -x "$folder/bin/nvcc" ] && nvcc=$folder/bin/nvcc && break
  done
  "$nvcc" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\),.*/\1/p' | grep .
}

# nvcc_problem: prints why there is no CUDA build, or nothing.
nvcc_problem() {
  local version
  if ! version=$(nvcc_version); then
    say "no nvcc"
  elif ! at_least "$version" "$NVCC_NEEDED"; then
    say "nvcc $version is too old"
  fi
}

# choose_cuda: prints the value of HOURGLASS_CUDA for this machine, and says on standard error what a GPU lacks.
choose_cuda() {
  local problem
  problem=$(nvcc_problem)
  if ! gpu_present; then
    say OFF
  elif [ -n "$problem" ]; then
    note "There is a GPU but $problem: a CUDA build needs CUDA $NVCC_NEEDED or newer from NVIDIA"
    note "  (https://developer.nvidia.com/cuda-downloads, the package cuda-toolkit). Using the CPU."
    say OFF
  else
    note "There is a GPU, and nvcc $(nvcc_version): building with CUDA, which takes some minutes more."
    say AUTO
  fi
}
