"""Whole graphs become engines, ahead of time: no operator is refused, nothing grows, no fusion is lost."""

import json
from pathlib import Path

import onnx_ir as ir
import pytest

import codi_export
from codi_export import registry
from codi_export.backends import EngineOptions
from codi_export.engines import Engine
from codi_export.finalize import finalize
from codi_export.graph import passes
from codi_export.graph.cache import default
from codi_export.graph.export import export
from codi_export.graph.layers import layers
from codi_export.graph.unroll import unroll
from codi_export.recipe import prepare
from codi_export.spec import AdapterSpec, BuildSpec, Precision, PrecisionChoice
from codi_export.trials import trials_of
from tests import tiny

PRECISION: PrecisionChoice = "fp16"
TARGET = "rtx-4090"
BUDGET = json.loads((Path(__file__).parents[2] / "data/kernel_budget.json").read_text())
MORE = 1.02  # another version of the builder may split a kernel here and there; a lost fusion shows as tens


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    """`sr` of `mini` at 1 and 4 steps, for SM 89."""
    folder = tmp_path_factory.mktemp("gate") / "sr"
    codi_export.build("sr", (1, 4), folder, precision=PRECISION)
    return {result.engine.graph: result.engine for result in finalize(folder, "tensorrt-rtx", TARGET)}


def test_four_steps_share_their_weights(engines: dict[str, Engine]) -> None:
    """Three more steps add 7.9 MB of kernels and their launches; weights that are not shared would add 3 x 10.5."""
    one, four = engines["sr-1step"].bytes, engines["sr-4step"].bytes
    assert four <= BUDGET["growth"] * one


@pytest.mark.parametrize("name", ["sr-1step", "sr-4step"])
def test_kernels_stay_within_their_budget(name: str, engines: dict[str, Engine]) -> None:
    """A pass or an exporter that breaks a fusion of the compiler is found here, not on a device."""
    allowed = BUDGET["kernels"][PRECISION][name]
    assert allowed / 1.5 <= sum(engines[name].kernels.values()) <= MORE * allowed


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("epsilon", "fp32"), ("v_prediction", "fp32"), ("v_prediction", "bf16"), ("v_prediction", "int8")],
)
def test_models_of_the_shape_of_stable_diffusion_build(kind: tiny.Kind, precision: Precision, tmp_path: Path) -> None:
    schedule = next(s for s in tiny.recipe(kind).schedules if len(s) == 1)
    exported = tiny.exported(kind)
    for piece in exported.models:
        largest = {layer.name: 4.0 for layer in layers(piece.graph)}
        passes.run(piece, passes.precision(precision, frozenset(), largest, half=True))
    model = unroll(exported, schedule, registry.get("samplers", "prev"), "sr-1step")
    passes.run(model)
    ir.save(model, tmp_path / "graph.onnx")
    compiler = registry.get("backends", "tensorrt-rtx").compiler
    built = compiler.build(tmp_path / "graph.onnx", EngineOptions(sm=89), lambda *_: None)
    assert sum(built.kernels.values()) > 100


def test_a_mask_is_read_as_tensorrt_reads_bytes(tmp_path: Path) -> None:
    """It casts uint8 and does nothing else with it, where every other runtime also moves it."""
    model = tiny.backbone(tmp_path / "model", vae="dc")
    net = tiny.adapter(tmp_path / "net", model, AdapterSpec("inpaint", condition="unshuffled"))
    recipe = prepare(BuildSpec("inpaint", (1,), str(model), (str(net),)))
    exported = export(recipe.pieces(), trials_of(recipe)[0], default())
    ir.save(unroll(exported, recipe.schedules[0], recipe.sampler, "inpaint-1step"), tmp_path / "graph.onnx")
    compiler = registry.get("backends", "tensorrt-rtx").compiler
    assert compiler.build(tmp_path / "graph.onnx", EngineOptions(sm=89), lambda *_: None).engine
