#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# PyTorch loads a checkpoint as docs/checkpoint.md says. usage: test_checkpoint_in_pytorch.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")"
if ! python3 -c 'import torch' >/dev/null 2>&1; then
  printf '%s:1: Skipped\npython3 has no torch\n\n' "$0"
  exit 77
fi
exec python3 -W ignore checkpoint_in_pytorch.py "$1" ../docs/checkpoint.md
