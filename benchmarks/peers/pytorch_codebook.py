#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nearest code of each row in PyTorch on the CPU: the work of benchmarks/bench_nearest_codebook.cpp.

Rows and codes are normal numbers. Variants: cdist, then argmin; addmm (|c|^2 - 2 x c^T), then argmin. Both write the
rows x codes matrix. Neither is exact where distances nearly tie; ours is.
"""

import pytorch_peer


def make_call(torch, rows, columns, codes, mode):
    x, c = torch.randn(rows, columns), torch.randn(codes, columns)
    if mode == "cdist":
        return lambda: torch.cdist(x, c).argmin(1)
    return lambda: torch.addmm((c * c).sum(1), x, c.t(), alpha=-2).argmin(1)


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--shape", default="16384x64x8192", help="rows x columns x codes")
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    shape = [int(extent) for extent in options.shape.split("x")]
    makers = {mode: lambda mode=mode: make_call(torch, *shape, mode) for mode in ("cdist", "addmm")}
    pytorch_peer.run(torch, options, options.shape, makers)


if __name__ == "__main__":
    main()
