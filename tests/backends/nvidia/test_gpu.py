"""What needs a GPU: engines that run, and engines that take other weights."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from codi_export import registry
from codi_export.backends import Backend, EngineOptions
from codi_export.errors import CodiError
from codi_export.finalize import finalize
from codi_export.runtime.opening import load
from tests import fake_bundle

pytestmark = pytest.mark.gpu


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def backend(request: pytest.FixtureRequest) -> str:
    found: Backend = registry.get("backends", request.param)
    try:
        assert found.providers()
    except CodiError as error:
        pytest.skip(error.message)
    return str(request.param)


def test_an_engine_gives_what_onnxruntime_gives(backend: str, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path)
    (result,) = finalize(tmp_path, backend)
    assert result.engine.golden
    image = np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8)
    there, here = load(tmp_path, backend=backend)(image, seed=3), load(tmp_path)(image, seed=3)
    assert np.abs(there.astype(int) - here).max() <= 1


def test_other_weights_and_back_give_the_first_bytes_back(backend: str, tmp_path: Path) -> None:
    """A -> B -> A: the engine that is refitted twice computes what it did, bit for bit."""
    compiler = registry.get("backends", backend).compiler
    engine, x = tmp_path / "toy.engine", np.random.default_rng(1).standard_normal((1, 8, 16, 16)).astype(np.float32)
    engine.write_bytes(compiler.build(toy(tmp_path, 1.0), EngineOptions(refittable=("w",)), lambda *_: None).engine)
    outputs = []
    for factor in (1.0, -2.0, 1.0):
        engine.write_bytes(compiler.refit(engine, toy(tmp_path, factor)))
        outputs.append(registry.get("backends", backend).open(engine, "gpu", None)({"x": x})["y"])
    assert outputs[0].tobytes() == outputs[2].tobytes() != outputs[1].tobytes()


def toy(folder: Path, factor: float) -> Path:
    """A convolution and a rectifier, its weights times `factor`."""
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 18]>
        toy (float[1,8,16,16] x) => (float[1,8,16,16] y) { a = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (a) }
    """)
    weight = factor * np.random.default_rng(0).standard_normal((8, 8, 3, 3))
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight.astype(np.float32), "w"))
    onnx.save(model, folder / "toy.onnx")
    return folder / "toy.onnx"
