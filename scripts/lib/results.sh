# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The table that test.sh ends with. A step is one row; its counts come from CTest's JUnit file.

ROWS=() REASONS=()
PASSED=0 FAILED=0 SKIPPED=0

# add_row STEP PASSED FAILED SKIPPED SECONDS [REMARK]
add_row() {
  ROWS+=("$(printf '%-46s %7s %7s %7s %8s  %s' "$1" "$2" "$3" "$4" \
    "$(awk -v s="$5" 'BEGIN { printf "%.1f", s / 60 }')" "${6:-}")")
  PASSED=$((PASSED + $2)) FAILED=$((FAILED + $3)) SKIPPED=$((SKIPPED + $4))
}

# add_skip STEP REASON: a step that has nothing to do here.
add_skip() {
  add_row "$1" 0 0 1 0
  REASONS+=("  1 x SKIPPED: $1, $2")
}

# junit_attribute FILE NAME: a number of the <testsuite> element.
junit_attribute() { tr '\n' ' ' <"$1" | sed -n "s/.*<testsuite[^>]*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p"; }

# skip_reasons FILE: "COUNT x SKIPPED: REASON" for each reason. GoogleTest prints it on the lines below
# "<file>:<line>: Skipped"; a test that CTest could not run or that is disabled says so in the message attribute.
skip_reasons() {
  awk '
    function finish() { if (skipped) print reason == "" ? message : reason; skipped = 0 }
    /<testcase / { finish(); reason = ""; message = "no reason given"; take = 0 }
    /status="disabled"/ { skipped = 1; message = "disabled" }
    /<skipped/ { skipped = 1; if (match($0, /message="[^"]*"/)) message = substr($0, RSTART + 9, RLENGTH - 10)
      if (message ~ /REGULAR_EXPRESSION/) message = "no reason given" }
    take && NF && reason == "" { reason = $0 }
    take && !NF { take = 0 }
    /: Skipped$/ { take = 1 }
    END { finish() }' "$1" | sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&apos;/'"'"'/g; s/&amp;/\&/g' |
    sort | uniq -c | sed 's/^ *\([0-9]*\) /  \1 x SKIPPED: /'
}

# add_tests STEP JUNIT-FILE EXIT-STATUS SECONDS
add_tests() {
  local step=$1 file=$2 status=$3 seconds=$4 tests failures skipped disabled reason
  if [ ! -s "$file" ]; then
    add_row "$step" 0 1 0 "$seconds" "CTest did not finish (exit $status)"
    return
  fi
  tests=$(junit_attribute "$file" tests) failures=$(junit_attribute "$file" failures)
  skipped=$(junit_attribute "$file" skipped) disabled=$(junit_attribute "$file" disabled)
  skipped=$((${skipped:-0} + ${disabled:-0}))
  # CTest may fail without a failed test: none found, or a file it could not write.
  if [ "$status" -ne 0 ] && [ "${failures:-0}" -eq 0 ]; then failures=1; fi
  local passed=$((${tests:-0} - ${failures:-0} - skipped))
  add_row "$step" "$((passed < 0 ? 0 : passed))" "${failures:-0}" "$skipped" "$seconds"
  while IFS= read -r reason; do REASONS+=("$reason  [$step]"); done < <(skip_reasons "$file")
}

# print_table SECONDS: the table, the reasons, and the closing line.
print_table() {
  printf '\n%-46s %7s %7s %7s %8s\n' step passed failed skipped minutes
  printf '%s\n' "${ROWS[@]}"
  printf '%-46s %7d %7d %7d %8s\n' total "$PASSED" "$FAILED" "$SKIPPED" \
    "$(awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }')"
  [ ${#REASONS[@]} -eq 0 ] || printf '%s\n' "${REASONS[@]}"
  printf '\n%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "$SKIPPED"
}
