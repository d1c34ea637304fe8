# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154  # the test that sources this sets $out and $status
# What tests of scripts share: a folder $work of their own, and checks of what a command printed ($out) and returned
# ($status). Source it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
check() {  # check WHAT CONDITION...
  local what=$1
  shift
  "$@" && return
  failures=$((failures + 1))
  printf 'FAILED: %s\n  command: %s\n  exit %s, output:\n%s\n' "$what" "$*" "${status-}" "$out"
}
finish() { # the last line of a test
  [ "$failures" -eq 0 ] && echo "all checks passed"
  exit $((failures > 0))
}
says() { [[ $out == *"$1"* ]]; }
exits() { [ "$status" -eq "$1" ]; }
