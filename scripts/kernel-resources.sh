#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What each CUDA kernel takes of a multiprocessor, as ptxas counts it: the table kernels/resources.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
readonly TABLE=kernels/resources.txt

usage() {
  cat <<'EOT'
usage: scripts/kernel-resources.sh [--from LOG | --check LOG]

Compiles the kernels for every architecture (build/cuda-resources) and writes kernels/resources.txt.

  --from LOG    write it from the log of a build with -DHOURGLASS_PTXAS_VERBOSE=ON instead: scripts/test.sh leaves
                one, build/test-logs/build-cuda.log
  --check LOG   compare the table with such a log. Exits 1 and names the kernels that differ, are new or are gone.
                Counts of another nvcc are not compared.
EOT
}

# The rows of a build's log. One a kernel: the most that any of its instances takes.
rows() {
  c++filt <"$1" | awk '
    function most(what, value) { if (value + 0 > top[row, what]) top[row, what] = value + 0 }
    /Building CUDA object/ { file = $0; sub(/.*\//, "", file); sub(/\.o$/, "", file); next }
    /Compiling entry function/ {
      architecture = $0; sub(/.* for ./, "", architecture); sub(/[^0-9a-z_]*$/, "", architecture)
      name = $0; sub(/.*entry function ./, "", name); sub(/[<(]*\(anonymous namespace\)/, "", name)
      sub(/^void /, "", name); sub(/[<(].*/, "", name); sub(/.*::/, "", name)
      row = file " " name
      if (!((row, architecture) in count)) rows_of[row] = 1
      count[row, architecture]++
      architectures[architecture] = 1
      next
    }
    /bytes stack frame/ { most(architecture " stack", $1) }
    /Used [0-9]+ registers/ {
      most(architecture " registers", field("registers"))
      most(architecture " shared", field("bytes smem"))
      total = 0; rest = $0
      while (match(rest, /[0-9]+ bytes cmem/)) {
        total += substr(rest, RSTART) + 0
        rest = substr(rest, RSTART + RLENGTH)
      }
      most(architecture " constant", total)
    }
    function field(unit) { return match($0, "[0-9]+ " unit) ? substr($0, RSTART) + 0 : 0 }
    END {
      for (row in rows_of)
        for (architecture in architectures)
          if ((row, architecture) in count)
            printf "%-58s %-7s %9d %9d %8d %8d %6d\n", row, architecture, count[row, architecture],
              top[row, architecture " registers"], top[row, architecture " shared"],
              top[row, architecture " constant"], top[row, architecture " stack"]
    }' | LC_ALL=C sort
}

table() {
  cat <<EOT
# Registers of a thread; bytes of static shared memory, constant memory and local memory (stack). The most that any
# instance of the kernel takes. Dynamic shared memory is asked for at the launch and not counted here.
# nvcc $(nvcc_version). Written by scripts/kernel-resources.sh.
EOT
  printf '%-58s %-7s %9s %9s %8s %8s %6s\n' "# file kernel" arch instances registers shared constant stack
  rows "$1"
}

write() {
  table "$1" >"$TABLE.new"
  mv "$TABLE.new" "$TABLE"
  say "$TABLE: $(grep -vc '^#' "$TABLE") rows"
}

check() {
  local log=$1 want have problem=0 line
  [ -r "$log" ] || die 2 "cannot read $log"
  want=$(mktemp) have=$(mktemp)
  # shellcheck disable=SC2064
  trap "rm -f '$want' '$have'" EXIT
  rows "$log" >"$have"
  [ -s "$have" ] || die 2 "$log names no kernel: expected the log of a build with -DHOURGLASS_PTXAS_VERBOSE=ON"
  if ! grep -q "^# nvcc $(nvcc_version)\." "$TABLE"; then
    say "$TABLE was written by another nvcc than $(nvcc_version): only local memory is checked"
    awk '$8 > 0 { print "local memory: " $0; bad = 1 } END { exit bad }' "$have"
    return
  fi
  # An incremental build compiles some of the files: only those are compared.
  awk 'NR == FNR { compiled[$1] = 1; next } !/^#/ && $1 in compiled' "$have" "$TABLE" >"$want"
  while read -r line; do
    say "$line"
    problem=1
  done < <(diff "$want" "$have" | sed -n 's/^< /in the table: /p; s/^> /ptxas says:   /p')
  [ "$problem" -eq 0 ] || note "If the change is meant, run scripts/kernel-resources.sh and say why in the commit."
  return "$problem"
}

case ${1:-} in
  --check)
    [ $# -eq 2 ] || die 2 "--check takes a log"
    check "$2"
    ;;
  --from)
    [ $# -eq 2 ] || die 2 "--from takes a log"
    write "$2"
    ;;
  "")
    problem=$(nvcc_problem)
    [ -z "$problem" ] || die 2 "$problem"
    log=build/cuda-resources.log
    cmake --preset cuda -B build/cuda-resources -DHOURGLASS_PTXAS_VERBOSE=ON -DHOURGLASS_APPS=OFF \
      -DHOURGLASS_TESTS=OFF -DHOURGLASS_BENCHMARKS=OFF >/dev/null
    cmake --build build/cuda-resources --target clean
    cmake --build build/cuda-resources --target hourglass_kernels -j "$(jobs_here)" >"$log"
    write "$log"
    ;;
  -h | --help) usage ;;
  *) usage >&2 && die 2 "unknown option '$1'" ;;
esac
