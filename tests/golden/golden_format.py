# SPDX-License-Identifier: Apache-2.0
"""What make_golden.py is made of: a safetensors writer, a collector of tensors, and Hourglass's random numbers."""

import json
import math
import struct

import torch

F64 = torch.float64


# ---------------------------------------------------------------- files


def write_safetensors(path, tensors, metadata):
    """Tensors by falling element size, then name, behind a header padded to 8 bytes."""
    header, offset, ordered = {"__metadata__": metadata}, 0, []
    names = {torch.float64: "F64", torch.float32: "F32"}
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        size = tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
        ordered.append(tensor)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in ordered:
            code = "d" if tensor.dtype == torch.float64 else "f"
            file.write(struct.pack(f"<{tensor.numel()}{code}", *tensor.flatten().tolist()))


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header, tensors = json.loads(data[8 : 8 + length]), {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        dtype = {"F64": torch.float64, "F32": torch.float32}[entry["dtype"]]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=dtype).reshape(entry["shape"])
    return tensors


class Golden:
    """Collects the tensors of one file."""

    def __init__(self):
        self.tensors = {}

    def input(self, name, value):
        """Stores a value that float holds exactly and returns it as a double leaf."""
        stored = value.detach().to(torch.float32).clone()
        self.tensors[name] = stored
        return stored.to(F64).requires_grad_()

    def uniform(self, name, *shape, low=-1.0, high=1.0):
        return self.input(name, low + (high - low) * torch.rand(*shape, dtype=F64))

    def output(self, name, value):
        self.tensors[name] = value.detach().to(F64).clone()

    def backward(self, case, y, leaves, name="y"):
        """Stores y, a random output gradient d<y>, and the gradient of every leaf for it."""
        self.output(f"{case}/{name}", y)
        self.gradients(f"{case}/d", y, leaves, self.uniform(f"{case}/d{name}", *y.shape))

    def gradients(self, prefix, value, leaves, dvalue=None):
        for leaf, gradient in zip(leaves, torch.autograd.grad(value, list(leaves.values()), dvalue)):
            self.output(prefix + leaf, gradient)


# ---------------------------------------------------------------- noise


def stream_id(name):
    h = 2166136261
    for byte in name.encode():
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


def philox(key, counter):
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c3 ^ k1, p0 & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def normals(rows, columns, seed, stream, step=0, first_row=0, draws=1, first_draw=0):
    """Standard normals as kernels/base/noise.h and philox.h name them: (rows, columns)."""
    result = torch.empty(rows, columns, dtype=F64)
    for r in range(rows):
        for d in range(columns):
            counter = (d // 4, first_draw + r % draws, first_row + r // draws, step)
            words = philox((seed, stream_id(stream)), counter)[d % 4 & 2 :]
            u0, u1 = (((word >> 9) + 0.5) * 2.0**-23 for word in words[:2])
            angle = math.pi * (2 * u1 - 1)
            radius = math.sqrt(-2 * math.log(u0))
            result[r, d] = radius * (math.sin(angle) if d % 2 else math.cos(angle))
    return result
