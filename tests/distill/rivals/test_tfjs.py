"""A small network that has every kind of layer, beside the same network written in torch."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codi_export.errors import CodiError, ErrorCode
from distill.rivals import tfjs

PLAIN = {"trainable": True, "dtype": "float32"}
SHAPES = {"first": (3, 3, 3, 8), "point": (1, 1, 16, 8), "big": (5, 5, 8, 48), "last": (3, 3, 3, 3)}


def layer(kind: str, name: str, *inputs: str, **config: Any) -> dict[str, Any]:
    inbound = [[[source, 0, 0, {}] for source in inputs]]
    return {"class_name": kind, "name": name, "config": {"name": name, **PLAIN, **config}, "inbound_nodes": inbound}


def convolution(name: str, source: str, padding: str = "same") -> dict[str, Any]:
    *size, _, filters = SHAPES[name]
    return layer(
        "Conv2D", name, source, filters=filters, kernel_size=size, padding=padding, strides=[1, 1],
        dilation_rate=[1, 1], groups=1, activation="linear", use_bias=True, data_format="channels_last",
        kernel_initializer={"class_name": "Zeros"}, bias_regularizer=None, activity_regularizer=None,
    )  # fmt: skip


def model(weights: dict[str, np.ndarray]) -> dict[str, Any]:
    start = layer("InputLayer", "LR", batch_input_shape=[None, None, None, 3], ragged=False, sparse=False)
    layers = [
        start | {"inbound_nodes": []},
        convolution("first", "LR"),
        layer("Activation", "relu", "first", activation="relu"),
        layer("Concatenate", "both", "first", "relu", axis=3),
        convolution("point", "both", padding="valid"),
        layer("MultiplyBeta", "scaled", "point", beta=0.2),
        layer("Add", "sum", "scaled", "first"),
        convolution("big", "sum"),
        layer("PixelShuffle4x", "shuffled", "big", scale=4),
        convolution("last", "shuffled"),
        layer("UpSampling2D", "SR", "last", size=[2, 2], interpolation="nearest", data_format="channels_last"),
    ]
    manifest = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in weights.items()]
    config = {"name": "generator", "layers": layers, "input_layers": [["LR", 0, 0]], "output_layers": [["SR", 0, 0]]}
    return {
        "format": "layers-model",
        "modelTopology": {"model_config": {"class_name": "Functional", "config": config}},
        "weightsManifest": [{"paths": ["one.bin", "two.bin"], "weights": manifest}],
    }


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    for name in ("last", "big", "first", "point"):  # another order than the layers'
        arrays[f"{name}/kernel"] = rng.normal(0, 0.3, SHAPES[name]).astype("<f4")
        arrays[f"{name}/bias"] = rng.normal(0, 0.3, SHAPES[name][-1]).astype("<f4")
    return arrays


def files(model: dict[str, Any], weights: dict[str, np.ndarray]) -> dict[str, bytes]:
    """The weights in two shards, of which the first ends inside a tensor."""
    data = b"".join(array.tobytes() for array in weights.values())
    return {"model.json": json.dumps(model).encode(), "one.bin": data[:1001], "two.bin": data[1001:]}


def by_hand(x: torch.Tensor, weights: dict[str, np.ndarray]) -> torch.Tensor:
    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        kernel, bias = (torch.from_numpy(weights[f"{name}/{part}"]) for part in ("kernel", "bias"))
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding="same")

    first = conv("first", x)
    y = conv("big", 0.2 * conv("point", torch.cat([first, first.relu()], dim=1)) + first)
    batch, _, height, width = y.shape
    y = y.view(batch, 4, 4, 3, height, width).permute(0, 3, 4, 1, 5, 2).reshape(batch, 3, 4 * height, 4 * width)
    return conv("last", y).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def test_reader_gives_the_numbers_of_the_same_network_in_torch(weights: dict[str, np.ndarray]) -> None:
    x = torch.rand(2, 3, 6, 9, generator=torch.Generator().manual_seed(0))
    network = tfjs.read(files(model(weights), weights))
    # float32 sums in another order
    torch.testing.assert_close(network(x), by_hand(x, weights), rtol=1e-4, atol=1e-5)


def _layer(model: dict[str, Any], name: str) -> dict[str, Any]:
    layers = model["modelTopology"]["model_config"]["config"]["layers"]
    return next(one for one in layers if one["name"] == name)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: m.update(format="graph-model"), "graph-model"),
        (lambda m: _layer(m, "relu").update(class_name="Lambda"), "class Lambda"),
        (lambda m: _layer(m, "relu")["config"].update(activation="tanh"), "tanh"),
        (lambda m: _layer(m, "first")["config"].update(strides=[2, 2]), "strides"),
        (lambda m: _layer(m, "first")["config"].update(padding="valid"), "valid"),
        (lambda m: _layer(m, "first")["config"].update(filters=9), "9"),
        (lambda m: _layer(m, "first")["config"].update(causal=True), "causal"),
        (lambda m: _layer(m, "both")["config"].update(axis=1), "axis"),
        (lambda m: _layer(m, "SR")["config"].update(interpolation="bilinear"), "bilinear"),
        (lambda m: _layer(m, "sum")["inbound_nodes"][0][0].__setitem__(3, {"training": True}), "training"),
        (lambda m: _layer(m, "LR")["config"].update(batch_input_shape=[None, 3, None, None]), "LR"),
        (lambda m: m["weightsManifest"][0]["weights"][0].update(quantization={"dtype": "uint8"}), "quantization"),
        (lambda m: m["weightsManifest"][0]["weights"].pop(), "bytes of weights"),
    ],
)
def test_anything_else_is_refused(
    spoil: Callable[[dict[str, Any]], object], said: str, weights: dict[str, np.ndarray]
) -> None:
    spoilt = model(weights)
    spoil(spoilt)
    with pytest.raises(CodiError, match=said) as caught:
        tfjs.read(files(spoilt, weights))
    assert caught.value.code is ErrorCode.BAD_MODEL
