"""Reads a Keras model in TensorFlow.js's `layers-model` format: model.json, and weights as raw float32 in shards.

The format: the manifest's weights lie in its order, one after another, in the concatenation of its shards; kernels
are [kH, kW, in, out]. Written for the networks of idealo's image-super-resolution, and for nothing else.
"""

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn

from .graph import Concatenate, DepthToSpace, Graph, Node, Sum, same_convolution, unexpected

Config = dict[str, Any]
Weights = Mapping[str, torch.Tensor]

# What only training asks for.
TRAINING = {"name", "trainable"} | {
    f"{part}_{what}" for part in ("kernel", "bias") for what in ("constraint", "initializer", "regularizer")
} | {"activity_regularizer"}  # fmt: skip
PLAIN: Config = {"dtype": "float32"}
CONV2D: Config = PLAIN | {
    "activation": "linear", "data_format": "channels_last", "dilation_rate": [1, 1], "groups": 1, "strides": [1, 1],
    "use_bias": True,
}  # fmt: skip


def read(files: Mapping[str, bytes]) -> Graph:
    """The network in `files`, by name: model.json and the shards that it lists. Raises CodiError (bad-model)."""
    model = json.loads(files["model.json"])
    topology = model["modelTopology"]["model_config"]
    if (model["format"], topology["class_name"]) != ("layers-model", "Functional"):
        raise unexpected(f"the format {model['format']} of class {topology['class_name']}")
    first, *rest = topology["config"]["layers"]
    _expect(first, PLAIN | {"batch_input_shape": [None, None, None, 3], "ragged": False, "sparse": False})
    weights = _weights(model["weightsManifest"], files)
    nodes = [Node(layer["name"], _module(layer, weights), _inputs(layer)) for layer in rest]
    [[output, *_]] = topology["config"]["output_layers"]
    return Graph(first["name"], nodes, output)


def _weights(manifest: list[dict[str, Any]], files: Mapping[str, bytes]) -> dict[str, torch.Tensor]:
    """Every tensor by its name, as `layer/kernel`."""
    weights = {}
    for group in manifest:
        data = b"".join(files[path] for path in group["paths"])
        offset = 0
        for entry in group["weights"]:
            if entry.keys() != {"name", "shape", "dtype"} or entry["dtype"] != "float32":
                raise unexpected(f"the weight {entry}, expected plain float32")
            count = prod(entry["shape"])
            array = np.frombuffer(data, "<f4", count, offset).reshape(entry["shape"])
            weights[entry["name"]] = torch.from_numpy(array.astype(np.float32))
            offset += 4 * count
        if offset != len(data):
            raise unexpected(f"{len(data)} bytes of weights, expected {offset}")
    return weights


def _inputs(layer: Config) -> tuple[str, ...]:
    """An inbound node is [name, 0, 0, {}]: the layer's first use, its first output, no arguments."""
    [inbound] = layer["inbound_nodes"]
    if any(node[1:] != [0, 0, {}] for node in inbound):
        raise unexpected(f"layer {layer['name']} with the inputs {inbound}")
    return tuple(node[0] for node in inbound)


def _expect(layer: Config, wanted: Config, *free: str) -> tuple[Any, ...]:
    """The values of `free`, once everything else in a layer's configuration is as wanted."""
    found = {key: value for key, value in layer["config"].items() if key not in TRAINING}
    values = tuple(found.pop(key, None) for key in free)
    if found != wanted:
        raise unexpected(f"the layer {layer['class_name']} {layer['name']} with {found}, expected {wanted}")
    return values


def _module(layer: Config, weights: Weights) -> nn.Module:
    """The torch layer of the same function."""
    kind = layer["class_name"]
    if kind == "Conv2D":
        return _convolution(layer, weights)
    if kind == "Activation":
        _expect(layer, PLAIN | {"activation": "relu"})
        return nn.ReLU()
    if kind == "Concatenate":
        _expect(layer, PLAIN | {"axis": 3})  # channels last
        return Concatenate()
    if kind == "Add":
        _expect(layer, PLAIN)
        return Sum()
    if kind == "MultiplyBeta":  # residual scaling
        [beta] = _expect(layer, PLAIN, "beta")
        return Sum(beta)
    if kind == "UpSampling2D":
        [size] = _expect(layer, PLAIN | {"data_format": "channels_last", "interpolation": "nearest"}, "size")
        return nn.UpsamplingNearest2d(scale_factor=tuple(size))
    if kind == "PixelShuffle4x":
        _expect(layer, PLAIN | {"scale": 4})
        return DepthToSpace(4)
    raise unexpected(f"a layer of class {kind}")


def _convolution(layer: Config, weights: Weights) -> nn.Conv2d:
    padding, size, filters = _expect(layer, CONV2D, "padding", "kernel_size", "filters")
    kernel, bias = (weights[f"{layer['name']}/{part}"] for part in ("kernel", "bias"))
    if [*kernel.shape[:2], kernel.shape[3]] != [*size, filters] or (padding != "same" and size != [1, 1]):
        raise unexpected(f"layer {layer['name']}: {padding} {size} {filters}, and a kernel of {tuple(kernel.shape)}")
    return same_convolution(kernel.permute(3, 2, 0, 1), bias)
