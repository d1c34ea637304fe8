#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Convolution or transposed convolution with bias and relu in PyTorch on the CPU: the layers of kConv2dSweep
(tests/cases/conv2d.h), which benchmarks/bench_conv2d.cpp times.

A case is <layer>-n<batch>-forward or -backward; backward is the gradients of input, weight and bias through the relu.
Variants: channels_last and contiguous memory, eager; torch.compile of the channels_last one (forward alone).
"""

import pytorch_peer

# transposed, input extent, channels in and out, window, stride, padding, output padding
LAYERS = {
    "C1": (0, 28, 1, 32, 3, 1, 1, 0),
    "C2": (0, 28, 1, 32, 3, 2, 1, 0),
    "C3": (0, 32, 3, 64, 4, 2, 1, 0),
    "C4": (0, 16, 64, 128, 4, 2, 1, 0),
    "C5": (0, 8, 128, 256, 4, 2, 1, 0),
    "C6": (0, 32, 3, 256, 4, 2, 1, 0),
    "C7": (0, 16, 256, 256, 4, 2, 1, 0),
    "C8": (0, 8, 256, 256, 3, 1, 1, 0),
    "C9": (0, 8, 256, 256, 1, 1, 0, 0),
    "C10": (0, 8, 128, 32, 3, 1, 1, 0),
    "C11": (0, 256, 3, 128, 3, 1, 1, 0),
    "C12": (0, 256, 128, 128, 3, 1, 1, 0),
    "C13": (0, 128, 128, 256, 3, 1, 1, 0),
    "C14": (0, 64, 256, 256, 3, 1, 1, 0),
    "C15": (0, 32, 512, 512, 3, 1, 1, 0),
    "C16": (0, 16, 512, 512, 3, 1, 1, 0),
    "C17": (0, 256, 128, 3, 3, 1, 1, 0),
    "C18": (0, 56, 64, 64, 3, 1, 1, 0),
    "T1": (1, 7, 64, 64, 3, 2, 1, 1),
    "T2": (1, 4, 256, 128, 4, 2, 1, 0),
    "T3": (1, 8, 128, 64, 4, 2, 1, 0),
    "T4": (1, 16, 64, 3, 4, 2, 1, 0),
    "T5": (1, 8, 256, 256, 4, 2, 1, 0),
    "T6": (1, 16, 256, 3, 4, 2, 1, 0),
    "T7": (1, 8, 256, 256, 5, 2, 2, 1),
    "T8": (1, 32, 512, 256, 4, 2, 1, 0),
    "vae1": (0, 28, 1, 32, 4, 2, 1, 0),
    "vae2": (0, 14, 32, 64, 4, 2, 1, 0),
    "vae3": (1, 7, 64, 32, 4, 2, 1, 0),
    "vae4": (1, 14, 32, 1, 4, 2, 1, 0),
    "ae1": (0, 28, 1, 32, 3, 1, 1, 0),
    "ae2": (0, 14, 32, 32, 3, 1, 1, 0),
    "ae3": (0, 7, 32, 32, 3, 1, 1, 0),
    "ae4": (0, 28, 32, 1, 3, 1, 1, 0),
}


def make_call(torch, case, mode):
    name, batch, part = case.split("-")
    transposed, extent, in_channels, out, window, stride, padding, output_padding = LAYERS[name]
    if transposed:
        layer = torch.nn.ConvTranspose2d(in_channels, out, window, stride, padding, output_padding)
    else:
        layer = torch.nn.Conv2d(in_channels, out, window, stride, padding)
    memory = torch.contiguous_format if mode == "contiguous" else torch.channels_last
    layer = layer.to(memory_format=memory)
    x = torch.rand(int(batch[1:]), in_channels, extent, extent).to(memory_format=memory).requires_grad_()
    forward = lambda: torch.relu(layer(x))
    if part == "backward":
        if mode == "compile":
            raise ValueError("compiled code is timed forward alone")
        y = forward()
        dy = torch.rand(y.shape).to(memory_format=memory)
        inputs = (x, layer.weight, layer.bias)
        return lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)
    if mode == "compile":
        forward = torch.compile(forward, dynamic=False)

    def call():
        with torch.no_grad():
            forward()

    return call


def main():
    parser = pytorch_peer.arguments(__doc__)
    parser.add_argument("--layer", default="C1-n128-forward")
    options = parser.parse_args()
    torch = pytorch_peer.start(options.threads)
    modes = ("channels_last", "contiguous", "compile")
    makers = {mode: lambda mode=mode: make_call(torch, options.layer, mode) for mode in modes}
    pytorch_peer.run(torch, options, options.layer, makers)


if __name__ == "__main__":
    main()
