#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the memory accesses of each CUDA kernel cost, counted on the PTX that nvcc made: the table kernels/access.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh
readonly TABLE=kernels/access.txt REASONS=kernels/access-reasons.txt FOLDER=build/kernel-access
readonly LIMIT=1.3 # times the fewest sectors

usage() {
  cat <<'EOT'
usage: scripts/profile-kernels.sh [--check] [--from FOLDER]

Builds the benchmarks for the emulator (build/emulated) and the kernels' PTX, runs training steps and every benchmark
case that is as large as a model's on that PTX (and smaller cases for kernels that those do not launch; a few minutes;
needs nvcc, but no GPU), counts 32-byte sectors and wavefronts of shared memory, and writes
  kernels/access.txt                each kernel, and the lines that cost more than they need, the worst first;
  build/kernel-access/report.txt    the same with line numbers, and the calls that the lines were inlined by.
Exits 1 if a kernel ran nowhere, if kernels/access-reasons.txt does not explain a line of the table, or explains one
that is not there.

  --check         compare kernels/access.txt instead of writing it: a difference is an error too
  --from FOLDER   count what an earlier run has left in that folder
EOT
}

# ---------------------------------------------------------------- running

profile() { # profile NAME COMMAND...: its accesses, to $FOLDER/NAME.tsv
  local name=$1
  shift
  HOURGLASS_SIMT_PTX=build/emulated/ptx/kernels HOURGLASS_SIMT_PTX_PROFILE=$FOLDER/$name.tsv HOURGLASS_SIMT_ABORT=1 \
    "$@" >"$FOLDER/$name.log" 2>&1 || {
    tail -n 5 "$FOLDER/$name.log" >&2
    die 1 "$name failed; its log is $FOLDER/$name.log"
  }
}

# The batches are small where a step is long: an image more takes the same paths.
profile_steps() {
  local program=$1 precision
  local step=("$program" --device cuda --seconds 0)
  for precision in fp32 tf32 bf16; do
    profile "step-vae-$precision" "${step[@]}" --model vae --batch 128 --precision "$precision"
    profile "step-conv-vae-$precision" "${step[@]}" --model conv-vae --batch 8 --precision "$precision"
  done
  profile step-conv-ae "${step[@]}" --model conv-ae --batch 4
  profile step-vqvae "${step[@]}" --model vqvae --batch 4
}

run_everything() {
  local problem file name
  problem=$(nvcc_problem)
  [ -z "$problem" ] || die 2 "$problem: the profile is one of nvcc's PTX"
  rm -rf "$FOLDER"
  mkdir -p "$FOLDER"
  nvcc_version >"$FOLDER/nvcc"
  say "Building (the log: $FOLDER/build.log) ..."
  { cmake --preset emulated && cmake --build build/emulated --target ptx all_benchmarks -j "$(jobs_here)"; } \
    >"$FOLDER/build.log" 2>&1 || die 1 "the build failed; its log is $FOLDER/build.log"
  say "Running ..."
  for file in build/emulated/ptx/kernels/*.ptx; do
    name=$(basename "$file")
    sed -n 's/.*\.entry \([^(]*\).*/\1/p' "$file" | c++filt | sed "s/^/$name\t/"
  done >"$FOLDER/kernels"
  for file in build/emulated/benchmarks/bench_*; do
    name=$(basename "$file")
    case $name in
      *.* | bench_data | bench_ceiling) ;; # none of our kernels
      bench_step) profile_steps "$file" ;;
      *)
        profile "$name" env HOURGLASS_BENCH_MODELS=1 "$file" --once
        profile "small-$name" "$file" --once
        ;;
    esac
  done
}

# ---------------------------------------------------------------- counting

# Of the profiles in a folder: "kernel FILE NAME SECTORS WAVEFRONTS" (ratios; - where there are none), "missing FILE
# NAME", and "site FILE NAME RATIO SPACE ACCESS SHARE PATH TEXT PLACES", with tabs between. A site is a line of
# source, and not one of the wrappers that every access goes through.
count() {
  local files=("$1/kernels" "$1"/[!s]*.tsv "$1"/s[!m]*.tsv "$1"/small-*.tsv) file
  for file in "${!files[@]}"; do [ -r "${files[file]}" ] || unset "files[file]"; done
  awk -v limit="$LIMIT" '
    BEGIN {
      FS = OFS = "\t"
      wrappers[1] = "/(gpu|mma|row_tasks)[.]cuh:|/(bf16|types)[.]h:"
      wrappers[2] = "/(gpu|mma)[.]cuh:|/(bf16|types)[.]h:"
    }
    function row_of(file, kernel) {
      sub(/\.ptx$/, ".cu", file)
      sub(/[<(]*\(anonymous namespace\)/, "", kernel)
      sub(/^void /, "", kernel)
      sub(/[<(].*/, "", kernel)
      sub(/.*::/, "", kernel)
      return file OFS kernel
    }
    function place_of_access(   i, round) {
      for (round = 1; round <= 2; ++round)
        for (i = 11; i <= NF; ++i)
          if ($i ~ /\/kernels\// && $i !~ wrappers[round]) return $i
      return $11
    }
    function path_in(place) { sub(/:[0-9]*$/, "", place); sub(/^.*\/kernels\//, "", place); return place }
    function text_at(place,   path, line, n) {
      path = "kernels/" path_in(place)
      sub(/.*:/, "", place)
      if (!(path in known)) {
        known[path] = 1
        while ((getline line <path) > 0) {
          gsub(/^[ \t]+|[ \t]+$/, "", line)
          source[path, ++n] = line
        }
        close(path)
      }
      return source[path, place]
    }
    function all_places(   i, text) {
      for (i = 11; i <= NF; ++i) text = text (i > 11 ? " < " : "") $i
      gsub(/[^ ]*\/kernels\//, "", text)
      return text
    }
    function ratio(taken, least) { return least > 0 ? sprintf("%.2f", taken / least) : "-" }
    FILENAME ~ /\/kernels$/ { rows[row_of($1, $2)] = 1; next }
    {
      row = row_of($1, $2)
      small = FILENAME ~ /\/small-[^\/]*$/
      if (!(row in rows) || small && ran[row] == "large") next # of a benchmark; known by cases that matter more
      ran[row] = small ? "small" : "large"
      place = place_of_access()
      site = row OFS $3 OFS $4 OFS path_in(place) OFS text_at(place)
      taken[site] += $9
      least[site] += $10
      if (!(site in places)) places[site] = all_places()
      total[row, $3] += $9
      fewest[row, $3] += $10
    }
    END {
      for (row in rows) {
        if (!(row in ran)) print "missing", row
        else print "kernel", row, ratio(total[row, "global"], fewest[row, "global"]), \
          ratio(total[row, "shared"], fewest[row, "shared"])
      }
      for (site in taken) {
        split(site, part, OFS)
        row = part[1] OFS part[2]
        all = total[row, part[3]]
        if (taken[site] - least[site] < 0.01 * all) continue
        if (part[3] == "global" && taken[site] <= limit * least[site]) continue
        print "site", row, ratio(taken[site], least[site]), part[3], part[4], \
          sprintf("%.0f%%", 100 * taken[site] / all), part[5], part[6], places[site]
      }
    }' "${files[@]}" | LC_ALL=C sort
}

# table COUNTED LINES: kernels by their worst ratio, their sites below them; LINES 1: with the places.
table() {
  cat <<EOT
# What the accesses of a kernel cost, over the least that the same bytes could: 32-byte sectors of global memory, and
# wavefronts of shared memory (tests/simt/ptx/profile.h). Below it the lines of source that take more than $LIMIT times the
# sectors, or have bank conflicts, and exceed the least by 1% of the kernel's; with their share of the kernel's.
# kernels/access-reasons.txt says why they are as they are.
# nvcc $(cat "$from/nvcc"). Written by scripts/profile-kernels.sh.
EOT
  printf '%-62s %8s %10s\n' "# file kernel" sectors wavefronts
  awk -v lines="$2" '
    BEGIN { FS = OFS = "\t" }
    $1 == "kernel" {
      worst = $4 + 0 > $5 + 0 ? $4 : $5
      key[$2, $3] = sprintf("%09.2f", 99999 - worst) OFS $2 OFS $3
      print key[$2, $3], 0, "", sprintf("%-62s %8s %10s", $2 " " $3, $4, $5)
    }
    $1 == "site" {
      text = sprintf("  %6s  %-13s %4s  %s: %s", $4, $5 " " $6, $7, $8, $9)
      print key[$2, $3], 1, sprintf("%09.2f", 99999 - $4), text (lines ? "\034          " $10 : "")
    }' "$1" | LC_ALL=C sort | cut -f 6- | tr '\034' '\n'
}

# Prints what is wrong between the counts and the reasons; fails if anything is.
check_reasons() {
  awk '
    BEGIN { FS = "\t" }
    NR == FNR {
      if (sub(/^kernels: */, "")) count = split(of_block = $0, kernels, /, */)
      else if (sub(/^ *line: */, "")) {
        reason[++reasons] = of_block ": " $0
        for (i = 1; i <= count; ++i) reason_of[kernels[i], $0] = reasons
      } else if (/^ *never profiled: /) for (i = 1; i <= count; ++i) exempt[kernels[i]] = 1
      next
    }
    $1 == "missing" && !($3 in exempt) { print "not profiled: " $2 " " $3; bad = 1 }
    $1 == "site" {
      if (($3, $9) in reason_of) used[reason_of[$3, $9]] = 1
      else if (("*", $9) in reason_of) used[reason_of["*", $9]] = 1
      else { print "not explained: " $2 " " $3 ", " $5 " " $6 ", " $4 " times the least: " $8 ": " $9; bad = 1 }
    }
    END {
      for (i = 1; i <= reasons; ++i) if (!(i in used)) { print "explains nothing: " reason[i]; bad = 1 }
      exit bad
    }' "$REASONS" "$1"
}

checks=no from=
while [ $# -gt 0 ]; do
  case $1 in
    --check) checks=yes ;;
    --from)
      [ $# -ge 2 ] || die 2 "--from takes a folder"
      from=$2
      shift
      ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown option '$1'" ;;
  esac
  shift
done
if [ -z "$from" ]; then
  run_everything
  from=$FOLDER
fi
[ -r "$from/kernels" ] || die 2 "$from holds no profile: expected what a run of this script has left"

problem=0
count "$from" >"$from/counted"
table "$from/counted" 1 >"$from/report.txt"
table "$from/counted" 0 >"$from/table.txt"
if [ "$checks" = no ]; then
  cp "$from/table.txt" "$TABLE"
  say "$TABLE: $(grep -c '^[a-z]' "$TABLE") kernels; with line numbers: $from/report.txt"
elif cmp -s "$TABLE" "$from/table.txt"; then
  say "$TABLE is up to date"
else
  diff "$TABLE" "$from/table.txt" | grep '^[<>]' || true
  note "$TABLE differs (<) from what was counted (>). If that is meant, run scripts/profile-kernels.sh."
  problem=1
fi
check_reasons "$from/counted" || problem=1
exit "$problem"
