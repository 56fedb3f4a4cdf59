"""Reads a network in ncnn's format: a .param text, one layer a line, and a .bin with the weights in the same order.

A line is `class name inputs outputs [names of inputs] [names of outputs] [key=value]`; keys are numbers, and a key
of -23300 - k holds the array k as `count,values`. Written for the networks of Real-ESRGAN, and for nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .graph import Concatenate, Graph, Node, Sum, same_convolution, unexpected

MAGIC = "7767517"
HALF = 0x01306B47  # before weights in float16; 0 is before float32
SLOPE = "1,2.000000e-01"


@dataclass(frozen=True, slots=True)
class Line:
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: dict[int, str]


class Blob:
    """The .bin, read from its start."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def floats(self, count: int, kind: str = "<f4") -> torch.Tensor:
        array = np.frombuffer(self.data, kind, count, self.offset)
        self.offset += -(-array.nbytes // 4) * 4  # whole words
        return torch.from_numpy(array.astype(np.float32))

    def tagged(self, count: int) -> torch.Tensor:
        """Weights that say their own type."""
        tag = int.from_bytes(self.data[self.offset : self.offset + 4], "little")
        if tag not in (0, HALF):
            raise unexpected(f"weights of the unknown type {tag:#x}")
        self.offset += 4
        return self.floats(count, "<f2" if tag == HALF else "<f4")


def read(files: Mapping[str, bytes]) -> Graph:
    """The network in `files`, one .param and one .bin. Raises CodiError (bad-model)."""
    [text], [data] = ([files[name] for name in files if name.endswith(end)] for end in (".param", ".bin"))
    first, *lines = _lines(text.decode())
    if (first.kind, first.outputs) != ("Input", ("data",)):
        raise unexpected(f"{first.kind} {first.name} at its start, expected the input `data`")
    blob, same, nodes, width = Blob(data), {"data": "data"}, list[Node](), {"data": 3}
    for line in lines:
        inputs = tuple(same[name] for name in line.inputs)
        if line.kind == "Split":  # more names for one value
            same |= dict.fromkeys(line.outputs, inputs[0])
            continue
        [output] = line.outputs
        same[output] = output
        module, width[output] = _module(line, blob, [width[name] for name in inputs])
        nodes.append(Node(output, module, inputs))
    if blob.offset != len(data):
        raise unexpected(f"{len(data)} bytes of weights, expected {blob.offset}")
    return Graph("data", nodes, "output")


def _lines(text: str) -> list[Line]:
    magic, counts, *rows = text.splitlines()
    if magic != MAGIC or int(counts.split()[0]) != len(rows):
        raise unexpected(f"the head {magic} {counts} over {len(rows)} layers")
    lines = []
    for row in rows:
        kind, name, count_in, count_out, *words = row.split()
        ends = int(count_in), int(count_in) + int(count_out)
        params = {int(key): value for key, value in (word.split("=") for word in words[ends[1] :])}
        lines.append(Line(kind, name, tuple(words[: ends[0]]), tuple(words[ends[0] : ends[1]]), params))
    return lines


def _module(line: Line, blob: Blob, widths: list[int]) -> tuple[nn.Module, int]:
    """The torch layer of the same function, and how many channels it makes of those that come in."""
    width, params = widths[0], line.params
    if line.kind == "Convolution":
        return _convolution(line, blob, width), int(params[0])
    if line.kind == "PReLU" and params == {0: str(width)}:
        slopes = nn.PReLU(width)
        slopes.load_state_dict({"weight": blob.floats(width)})
        return slopes, width
    if line.kind == "Concat" and not params:
        return Concatenate(), sum(widths)
    if line.kind == "BinaryOp" and not params:  # the default is to add
        return Sum(), width
    if line.kind == "Eltwise" and params.keys() == {0, -23301} and params[0] == "1":  # 1: add
        return Sum(*map(float, params[-23301].split(",")[1:])), width
    if line.kind == "PixelShuffle" and params.keys() == {0}:
        scale = int(params[0])
        return nn.PixelShuffle(scale), width // scale**2
    if line.kind == "Interp" and params.keys() == {0, 1, 2} and params[0] == "1":  # 1: nearest
        return nn.UpsamplingNearest2d(scale_factor=(float(params[1]), float(params[2]))), width
    raise unexpected(f"the layer {line.kind} {line.name} with {params}")


def _convolution(line: Line, blob: Blob, width: int) -> nn.Module:
    """Keys: 0 filters, 1 kernel, 4 padding, 5 has a bias, 6 weights; 9 and 10 an activation, 2: LeakyReLU."""
    activation = {key: line.params[key] for key in (9, -23310) if key in line.params}
    filters, kernel = int(line.params[0]), int(line.params[1])
    shape = filters, width, kernel, kernel
    plain = {0: str(filters), 1: str(kernel), 4: str(kernel // 2), 5: "1", 6: str(np.prod(shape))}
    if line.params != plain | activation or activation not in ({}, {9: "2", -23310: SLOPE}):
        raise unexpected(f"the convolution {line.name} with {line.params}, expected {plain}")
    layer = same_convolution(blob.tagged(int(np.prod(shape))).reshape(shape), blob.floats(filters))
    return nn.Sequential(layer, nn.LeakyReLU(0.2)) if activation else layer
