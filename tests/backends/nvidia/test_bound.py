"""Tensors that stay where they are, tried on the CPU, where they are bound in the same way."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from codi_export.backends import onnxruntime as backend
from codi_export.backends.nvidia import providers
from codi_export.backends.nvidia.bound import Bound
from codi_export.errors import CodiError
from codi_export.runtime.noise import normal
from tests import fake_bundle


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path)
    return tmp_path / "graphs/sr-2step.onnx"


def inputs(seed: int) -> dict[str, np.ndarray]:
    image = np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 3), np.uint8)
    return {"image": image, "noise": normal(seed, (1, 4, 16, 16))}


def test_each_call_sees_its_own_inputs_in_the_same_place(graph: Path) -> None:
    session = backend.open_graph(graph).session
    bound = Bound(onnxruntime, session, "cpu")
    places = {name: value.data_ptr() for name, value in (bound.inputs | bound.outputs).items()}
    for seed in (0, 1):
        given = inputs(seed)
        bound.fill(given)
        bound.launch()
        np.testing.assert_array_equal(bound.read()["output"], fake_bundle.reference(given["image"], given["noise"]))
    assert places == {name: value.data_ptr() for name, value in (bound.inputs | bound.outputs).items()}


def test_a_runner_with_bound_tensors_is_called_like_any_other(graph: Path) -> None:
    plain = backend.open_graph(graph)
    bound = backend.OrtRunner(graph, "cuda", plain.session, Bound(onnxruntime, plain.session, "cpu"))
    given = inputs(3)
    np.testing.assert_array_equal(bound(given)["output"], plain(given)["output"])
    backend.bind(bound, given)()


@pytest.mark.parametrize("name", list(providers.PROVIDERS))
def test_an_absent_provider_is_told_with_its_package(name: str, graph: Path) -> None:
    if name in backend.available():
        pytest.xfail("it is here")
    with pytest.raises(CodiError, match=f"onnxruntime has no {name} provider here; available: .*cpu") as caught:
        backend.open_graph(graph, name)
    assert providers.PROVIDERS[name].package in caught.value.hint


def test_options_are_strings_with_limits_and_a_place_for_caches(tmp_path: Path) -> None:
    cuda = providers.options("cuda", tmp_path, 10**9)
    assert cuda["enable_cuda_graph"] == "1" and cuda["gpu_mem_limit"] == "1000000000"
    assert "gpu_mem_limit" not in providers.options("cuda", tmp_path)
    tensorrt = providers.options("tensorrt", tmp_path, 5)
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path) and tensorrt["trt_max_workspace_size"] == "5"
    assert all(isinstance(value, str) for value in (*cuda.values(), *tensorrt.values()))


@pytest.mark.gpu
def test_the_cuda_provider_gives_what_the_cpu_gives(graph: Path) -> None:
    given = inputs(0)
    runner = backend.open_graph(graph, "cuda")
    for _ in range(3):  # the second call captures, the third replays
        output = runner(given)["output"]
    np.testing.assert_array_equal(output, fake_bundle.reference(given["image"], given["noise"]))
