#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The mutation run's own tests; the run itself is on demand (docs/mutation.md).
set -euo pipefail
cd "$(dirname "$0")/mutation"
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then
  printf '%s:1: Skipped\nthere is no python3 of at least 3.9\n\n' "$0"
  exit 77
fi
exec python3 -B test_sites.py
