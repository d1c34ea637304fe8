#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a bare clone to pictures: installs what is missing, builds the program, trains a VAE on Fashion-MNIST.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/lib/common.sh
. scripts/lib/common.sh

usage() {
  cat <<'EOF'
usage: scripts/quickstart.sh [--no-install]

Installs the missing packages (Debian 12, Ubuntu 24.04; root), builds the program in build/release, trains a VAE
on Fashion-MNIST for at most 30 seconds into runs/quickstart, and says where the pictures are. Without root it
prints the install line and exits 2. Where there is a GPU and nvcc 12.4 or newer, it builds and uses CUDA.

  --no-install   never install; go on with what is there
EOF
}

may_install=yes
for argument; do
  case $argument in
    --no-install) may_install=no ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown option '$argument'" ;;
  esac
done

ensure_packages "$may_install"
check_versions
cuda=$(choose_cuda)

say "Building the program in build/release ..."
cmake --preset release -DHOURGLASS_CUDA="$cuda" --log-level=NOTICE
cmake --build --preset release -j "$(jobs_here)"

readonly PROGRAM=build/release/apps/hourglass RUN=runs/quickstart
train() {  # train DATA: stops in time to finish evaluation and pictures within 30 seconds
  say "$PROGRAM train vae --data $1 --epochs 10 --max-time 25s --out $RUN --overwrite"
  "$PROGRAM" train vae --data "$1" --epochs 10 --max-time 25s --out "$RUN" --overwrite
}

data=fashion-mnist status=0
train fashion-mnist || status=$?
if [ "$status" -eq 3 ]; then
  # The program has named the files, their checksums and the folder to put them in.
  say "Fashion-MNIST is not to be had here: training on drawn shapes instead."
  data=shapes status=0
  train shapes || status=$?
fi
[ "$status" -eq 0 ] || exit "$status"

say ""
say "Done: a VAE trained on $data. Its pictures:"
show() {  # show FILE MEANING
  [ -s "$RUN/figures/$1" ] || die 1 "$RUN/figures/$1 was not written"
  printf '  %-46s %s\n' "$PWD/$RUN/figures/$1" "$2"
}
show samples.png "new images, decoded from random latents that no image was encoded to"
show reconstructions.png "test images above, the same after 784 pixels -> 20 numbers -> 784 pixels below"
show curves.png "the loss terms while training"
say ""
say "Next: $PROGRAM eval $RUN"
say "      $PROGRAM interpolate $RUN"
say "      $PROGRAM train --help"
