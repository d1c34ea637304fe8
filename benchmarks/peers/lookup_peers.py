#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nearest code of each row on the GPU, for the shapes of benchmarks/bench_nearest_codebook.cpp (rows x columns x
codes).

PyTorch: cdist, addmm or mm, then argmin, at once or in chunks of rows whose distances stay below 32 MB (in the cache),
as they are or compiled. flash-kmeans: its Triton kernel, which keeps no distances; `--flash-kmeans DIR` is the folder
that holds the package flash_kmeans (of its wheel or repository). |c|^2 is computed in every call; flash-kmeans is
handed |x|^2. f32 is strict; tf32 rounds the products' inputs; bf16 is exact for inputs rounded to bf16 at best, with
sums in f32. Ours is exact in f32. Before it is timed, the distance of each chosen code is compared with the best in f64
on some rows; `mismatch` is the share of those rows with another code than f64's.
"""

import os
import sys

import device_peer
from pytorch_codebook import METHODS

SHAPES = ["6272x64x512", "16384x64x1024", "16384x64x8192", "16384x8x16384", "16384x256x1024"]
GRID = [f"{1 << 20}x{columns}x{codes}" for codes in (1024, 4096, 16384, 65536) for columns in (8, 32, 64, 128, 256)]
CHUNK_BYTES, MOST_BYTES = 32 << 20, 24 << 30
EXCESS = {"f32": 1e-5, "tf32": 2e-2, "bf16": 1e-3}  # of a distance over the best one, relative
PLAIN = [f"{method}{how}" for how in ("", "-chunked") for method in METHODS]
COMPILED = [f"{method}{how}" for how in ("-compiled", "-chunked-compiled") for method in METHODS]


def torch_search(torch, variant, codes):
    """prepare(x, c) -> call() -> index"""
    method, *how = variant.split("-")
    step = lambda x, c: METHODS[method](torch, x, c)
    if "compiled" in how:
        step = torch.compile(step, dynamic=False)
    if "chunked" not in how:
        return lambda x, c: lambda: step(x, c)
    rows = max(1, CHUNK_BYTES // (4 * codes))
    return lambda x, c: lambda: torch.cat([step(part, c) for part in x.split(rows)])


def flash_search():
    """(prepare, version). Imported anew for each precision: Triton keeps what it compiled under another setting."""
    for name in [name for name in sys.modules if name.split(".")[0] == "flash_kmeans"]:
        del sys.modules[name]
    import flash_kmeans
    from flash_kmeans.assign_euclid_triton import euclid_assign_triton

    def prepare(x, c):
        norms = (x.float() ** 2).sum(1)[None]
        return lambda: euclid_assign_triton(x[None], c[None], norms)[0]

    return prepare, getattr(flash_kmeans, "__version__", "unknown")


def check(torch, x, c, index, lane):
    """The share of rows with another code than f64's; an error if a code is too far away."""
    rows = torch.linspace(0, len(x) - 1, min(len(x), 64), device=x.device).long()
    found, x, c = index[rows].long(), x[rows].double(), c.double()
    distances = (x * x).sum(1, keepdim=True) + (c * c).sum(1) - 2 * x @ c.t()
    best, nearest = distances.min(1)
    excess = ((distances.gather(1, found[:, None])[:, 0] - best) / best.clamp_min(1e-30)).max().item()
    if not excess <= EXCESS[lane]:
        raise RuntimeError(f"wrong: a code is {excess:.2g} farther away than the nearest")
    return (found != nearest).double().mean().item()


def measure(torch, prepare, shape, lane, options):
    rows, columns, codes = shape
    dtype = torch.bfloat16 if lane == "bf16" else torch.float32
    draw = lambda count: torch.randn(count, columns, device=options.device).to(dtype)
    size = dtype.itemsize * columns * (rows + codes) + 8 * rows
    sets = [(draw(rows), draw(codes)) for _ in range(device_peer.rotation(torch, options.device, size))]
    calls = [prepare(x, c) for x, c in sets]
    mismatch = check(torch, *sets[0], calls[0](), lane)
    blocks = device_peer.kernel_blocks(torch, options.device, calls, options.seconds)
    return device_peer.result_of(blocks) | {"mismatch": mismatch}


def run_torch(torch, run, shape, name, variants):
    rows, _, codes = shape
    for lane in run.options.lanes:
        for variant in variants:
            if variant.startswith("cdist" if lane == "bf16" else "mm"):
                continue  # no cdist in bf16; mm and addmm are the same product, and addmm may lack bf16

            def work():
                if "chunked" not in variant and 4 * rows * codes > MOST_BYTES:
                    raise RuntimeError(f"not run: {4e-9 * rows * codes:.0f} GB of distances")
                device_peer.fresh(torch, "compiled" in variant)
                device_peer.set_lane(torch, lane)
                return measure(torch, torch_search(torch, variant, codes), shape, lane, run.options)

            run.attempt({"workload": "lookup", "variant": variant, "dtype": lane, "shape": name}, work)


def run_flash(torch, run, shape, name):
    options = run.options
    for lane in options.lanes:

        def work():
            if options.device != "cuda":
                raise RuntimeError("skipped: Triton kernels need a GPU")
            try:
                prepare, version = flash_search()
            except ImportError as error:
                raise RuntimeError(f"skipped: {error}; name the folder that holds flash_kmeans by --flash-kmeans")
            device_peer.fresh(torch, False)
            return {"version": version} | measure(torch, prepare, shape, lane, options)

        line = {"peer": "flash-kmeans", "workload": "lookup", "variant": "flash-kmeans", "dtype": lane, "shape": name}
        os.environ["TRITON_F32_DEFAULT"] = "ieee" if lane == "f32" else "tf32"
        run.attempt(line, work)
        del os.environ["TRITON_F32_DEFAULT"]


def main():
    parser = device_peer.arguments(__doc__, limit=60, seconds=0.2)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="default: those of the benchmark")
    parser.add_argument("--grid", action="store_true", help="20 shapes of 2^20 rows instead, that ours does not time")
    parser.add_argument("--flash-kmeans", metavar="DIR", help="the folder that holds the package")
    options = parser.parse_args()
    torch = device_peer.load_torch(options.device)
    if options.flash_kmeans:
        sys.path.insert(0, options.flash_kmeans)
    run = device_peer.Run(options, "pytorch", torch.__version__)
    shapes, stages = GRID if options.grid else options.shapes, [PLAIN, COMPILED]
    if options.quick:
        options.seconds, shapes, stages = 0, ["300x8x100"], [PLAIN]
    for stage in stages:
        for name in shapes:
            shape = [int(extent) for extent in name.split("x")]
            if stage is stages[0]:
                run_flash(torch, run, shape, name)
            run_torch(torch, run, shape, name, stage)
    return 0


if __name__ == "__main__":
    sys.exit(main())
