"""The faces of an op beside each other: torch, ONNX with the functions, ONNX with our kernels."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from codi_export.ops import functions


def export(module: nn.Module, inputs: Sequence[Tensor]) -> onnx.ModelProto:
    """The module as a graph that calls ops of `codi` and carries their functions."""
    table = functions.translations()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, about torch
        program = torch.onnx.export(
            module.eval(), tuple(inputs), opset_version=18, custom_translation_table=table, verbose=False
        )
    assert program is not None
    model = functions.attach(program.model_proto)
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, inputs: Sequence[Tensor], library: Path | None, folder: Path) -> list[Tensor]:
    """The graph's outputs: with `library` the kernels must have run, without it no op of ours may be left."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if library:
        options.register_custom_ops_library(str(library))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    ran = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node if node.domain == "codi"}
    asked = {node.op_type for node in model.graph.node if node.domain == "codi"}
    assert ran == (asked if library else set())
    feeds = {given.name: value.numpy() for given, value in zip(session.get_inputs(), inputs, strict=True)}
    return [torch.from_numpy(output) for output in session.run(None, feeds)]


def assert_as_good_as_torch(ours: Tensor, theirs: Tensor, exact: Tensor, roundings: int = 2) -> None:
    """At most twice the error of torch's own operations in the same type, or of so many roundings to it."""
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape == exact.shape
    rounding = roundings * float(torch.finfo(ours.dtype).eps) * float(exact.abs().max())
    error, allowed = (float((each.double() - exact).abs().max()) for each in (ours, theirs))
    assert error <= 2 * max(allowed, rounding), f"error {error}, torch's own {allowed}"


def double(values: Sequence[Any]) -> list[Any]:
    """Tensors in float64, other values as they are."""
    return [value.double() if isinstance(value, Tensor) and value.is_floating_point() else value for value in values]
