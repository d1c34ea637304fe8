#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python of docs/checkpoint.md, executed as it stands there: PyTorch's forward pass of a checkpoint must give the
KL, squared error and PSNR that the program measured. usage: checkpoint_in_pytorch.py PROGRAM DOCUMENT

The run is small, its data (IDX files) are written here, and the metrics chosen are those without noise.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import torch

SIDE, HIDDEN, LATENT = 8, 24, 3


def blobs(count, seed):
    """Round bumps at random places, as bytes."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, 1, 1, generator=generator) * SIDE
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = (rows - center[:, 0]) ** 2 + (columns - center[:, 1]) ** 2
    return (255 * torch.exp(-distance / 6)).to(torch.uint8)


def write_idx(path, images):
    header = bytes([0, 0, 8, images.dim()]) + struct.pack(f">{images.dim()}I", *images.shape)
    path.write_bytes(header + bytes(images.flatten().tolist()))


def python_of(document):
    """The fenced python blocks, as one namespace."""
    blocks = re.findall(r"^```python\n(.*?)^```", pathlib.Path(document).read_text(), re.MULTILINE | re.DOTALL)
    namespace = {}
    exec("\n".join(blocks), namespace)
    return namespace


def expect_close(name, got, want):
    if not abs(got - want) <= 2e-5 * abs(want):
        raise SystemExit(f"{name}: PyTorch computes {got}, the program {want}")
    print(f"{name}: PyTorch {got:.7g}, the program {want:.7g}")


def main():
    program, document = sys.argv[1:]
    docs = python_of(document)
    with tempfile.TemporaryDirectory() as folder:
        data, run = pathlib.Path(folder, "data"), pathlib.Path(folder, "run")
        data.mkdir()
        write_idx(data / "train-images-idx3-ubyte", blobs(400, 0))
        write_idx(data / "t10k-images-idx3-ubyte", blobs(120, 1))
        command = f"train vae --data {data} --hidden {HIDDEN} --latent {LATENT} --batch 40 --epochs 20 --out {run} --quiet"
        subprocess.run([program, *command.split()], check=True)
        summary = json.loads((run / "summary.json").read_text())
        latest = (run / "checkpoints/latest").read_text().strip()
        metadata, tensors = docs["load"](run / "checkpoints" / latest)

    model = json.loads(metadata["model"])
    assert (model["hidden"], model["latent"]) == ([HIDDEN], LATENT), model
    assert metadata["format_version"] == "1" and int(metadata["step"]) == int(tensors["training/step"]) == 200

    x = blobs(120, 1).reshape(120, -1) / 255
    mu, logvar = docs["encode"](tensors, x)
    error = (docs["decode"](tensors, mu) - x) ** 2
    expect_close("KL", (0.5 * (logvar.exp() + mu**2 - 1 - logvar)).sum(1).mean().item(), summary["test_kl"])
    expect_close("MSE", error.mean().item(), summary["test_mse"])
    expect_close("PSNR", (-10 * error.mean(1).log10()).mean().item(), summary["test_psnr"])


if __name__ == "__main__":
    main()
