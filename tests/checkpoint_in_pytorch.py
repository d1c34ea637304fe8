#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python of docs/checkpoint.md, executed as it stands there: PyTorch's forward pass of checkpoints must give the
KL, squared error and PSNR that the program measured. usage: checkpoint_in_pytorch.py PROGRAM DOCUMENT

The runs are small, their data (IDX files) are written here, and the metrics chosen are those without noise.
"""

import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import torch

SIDE, HIDDEN, LATENT = 28, 24, 3


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


def train(program, folder, load, options):
    """metadata, tensors and summary of a run."""
    run = pathlib.Path(folder, options.split()[0])
    command = f"train {options} --data {folder}/data --batch 40 --out {run} --quiet"
    subprocess.run([program, *command.split()], check=True)
    latest = (run / "checkpoints/latest").read_text().strip()
    return *load(run / "checkpoints" / latest), json.loads((run / "summary.json").read_text())


def expect_figures(y, x, summary):
    error = ((y - x) ** 2).flatten(1)
    expect_close("MSE", error.mean().item(), summary["test_mse"])
    expect_close("PSNR", (-10 * error.mean(1).log10()).mean().item(), summary["test_psnr"])


def expect_vae(tensors, summary, x, encode, decode):
    mu, logvar = encode(tensors, x)
    expect_close("KL", (0.5 * (logvar.exp() + mu**2 - 1 - logvar)).sum(1).mean().item(), summary["test_kl"])
    expect_figures(decode(tensors, mu), x, summary)


def main():
    program, document = sys.argv[1:]
    docs = python_of(document)
    x = blobs(120, 1)[:, None] / 255
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "data")
        data.mkdir()
        write_idx(data / "train-images-idx3-ubyte", blobs(400, 0))
        write_idx(data / "t10k-images-idx3-ubyte", blobs(120, 1))

        def run(options):
            return train(program, folder, docs["load"], options)

        metadata, tensors, summary = run(f"vae --hidden {HIDDEN} --latent {LATENT} --epochs 20")
        model = json.loads(metadata["model"])
        assert (model["hidden"], model["latent"]) == ([HIDDEN], LATENT), model
        assert metadata["format_version"] == "1" and int(metadata["step"]) == int(tensors["training/step"]) == 200
        expect_vae(tensors, summary, x.flatten(1), docs["encode"], docs["decode"])

        _, tensors, summary = run("conv-vae --latent 5 --epochs 8")
        expect_vae(tensors, summary, x, docs["conv_encode"], docs["conv_decode"])

        _, tensors, summary = run("vqvae --codebook-size 32 --epochs 4")
        expect_figures(docs["vq_decode"](tensors, docs["vq_encode"](tensors, x)), x, summary)


if __name__ == "__main__":
    main()
