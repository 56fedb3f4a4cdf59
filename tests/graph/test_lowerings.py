"""A lowering is the same graph over the same files, in the words of one runtime."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from codi_export import registry
from codi_export.graph import lowerings, store
from codi_export.graph.unroll import unroll
from tests import tiny

TOLERANCE = 1e-4  # float32, relative to the latent: a thousand roundings, as between the graph and torch
CODI = {"GroupNormSilu", "GroupNorm", "Geglu", "Attention"}


def graph(kind: tiny.Kind, steps: int = 2) -> ir.Model:
    schedule = next(s for s in tiny.recipe(kind).schedules if len(s) == steps)
    return unroll(tiny.exported(kind), schedule, registry.get("samplers", "prev"), f"sr-{steps}step")


def calls(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph if node.domain)


def run(path: Path, kind: tiny.Kind, library: Path | None = None) -> np.ndarray:
    """x of the last step. With a library, what ONNX Runtime made of the graph is kept as `*.optimized`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if library:
        options.register_custom_ops_library(str(library))
        options.optimized_model_filepath = str(path.with_suffix(".optimized"))
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = onnxruntime.InferenceSession(str(path), options)
    image, noise = tiny.inputs(kind)
    found = session.run(["step2/x"], {"image": image, "noise": noise})[0]
    return np.asarray(found)


def saved(model: ir.Model, folder: Path, name: str) -> Path:
    """The graph with x of its last step as a further output."""
    model.graph.outputs.extend(value for node in model.graph for value in node.outputs if value.name == "step2/x")
    store.save(model, folder / f"{name}.onnx")
    return folder / f"{name}.onnx"


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_functions_are_inlined_where_nothing_knows_them(kind: tiny.Kind, tmp_path: Path) -> None:
    model = graph(kind)
    norms = sum(node.op_type == "InstanceNormalization" for node in model.graph)
    softmaxes = sum(node.op_type == "Softmax" for node in model.graph)
    lowered = lowerings.lower(model, "codi")
    found = calls(lowered)
    assert set(found) == CODI
    assert found["GroupNormSilu"] + found["GroupNorm"] == norms > 20
    assert 4 <= found["Attention"] <= softmaxes, "the VAE's attention has one head, and another form"
    assert calls(model) == Counter(), "the portable graph is as it was"
    wanted, got = (run(saved(one, tmp_path, name), kind) for one, name in ((model, "portable"), (lowered, "codi")))
    np.testing.assert_allclose(got, wanted, atol=TOLERANCE * np.abs(wanted).max())


def test_kernels_take_their_place_where_they_are(tmp_path: Path, onnxruntime_library: Path) -> None:
    model = graph("epsilon")
    lowered = lowerings.lower(model, "codi")
    asked = calls(lowered)
    wanted = run(saved(model, tmp_path, "portable"), "epsilon")
    got = run(saved(lowered, tmp_path, "codi"), "epsilon", onnxruntime_library)
    np.testing.assert_allclose(got, wanted, atol=TOLERANCE * np.abs(wanted).max())
    ran = Counter(node.op_type for node in onnx.load(tmp_path / "codi.optimized").graph.node if node.domain == "codi")
    assert ran == asked - Counter({"Attention": asked["Attention"]}), "attention has no kernel of ours"


def test_contrib_leaves_no_function(tmp_path: Path) -> None:
    lowered = lowerings.lower(graph("epsilon"), "contrib")
    assert set(calls(lowered)) <= {"GroupNorm", "SkipGroupNorm", "MultiHeadAttention"}, "the toy's GEGLU is too narrow"
    assert not lowered.functions
    ir.save(lowered, tmp_path / "graph.onnx")
    onnx.checker.check_model(tmp_path / "graph.onnx")


@pytest.mark.parametrize("name", lowerings.LOWERINGS)
def test_no_weight_is_folded_and_no_file_is_added(name: str, tmp_path: Path) -> None:
    """So an adapter is swapped under a lowering as under the portable graph."""
    model = graph("v_prediction", 1)
    store.save_weights([model], tmp_path, "sr")
    store.save(model, tmp_path / "sr-1step.onnx")
    files = {path.name for path in tmp_path.iterdir()}
    paths = lowerings.save(model, tmp_path, "rtx-4090", "fp32")
    assert {path.name for path in tmp_path.iterdir()} - files == {f"sr-1step.{one}.onnx" for one in lowerings.LOWERINGS}
    portable, lowered = (_places(path) for path in (tmp_path / "sr-1step.onnx", paths[name]))
    assert lowered == portable


def _places(path: Path) -> dict[str, tuple[str, int | None]]:
    """Where each tensor of a weight file lies."""
    tensors = ((name, value.const_value) for name, value in ir.load(path).graph.initializers.items())
    return {name: (str(t.location), t.offset) for name, t in tensors if isinstance(t, ir.ExternalTensor)}


def test_only_gpus_want_them() -> None:
    assert lowerings.of("", "fp32") == lowerings.of("cpu", "fp32") == lowerings.of("rtx-4090", "bf16") == ()
    assert lowerings.of("rtx-4090", "fp16") == tuple(lowerings.LOWERINGS)
