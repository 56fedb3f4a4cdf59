"""Graphs are opened on the provider that was asked for, or not at all."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from codi_export import registry
from codi_export.backends import onnxruntime as backend
from codi_export.backends.onnxruntime import (
    BACKEND,
    OUR_KERNELS,
    PROVIDERS,
    available,
    open_graph,
    open_shared,
    open_within,
)
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.noise import normal
from tests import fake_bundle


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path)
    return tmp_path / "graphs/sr-2step.onnx"


def test_the_registry_finds_it() -> None:
    assert registry.get("backends", "onnxruntime") is BACKEND


def test_the_cpu_is_always_there() -> None:
    assert "cpu" in available()


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_a_graph_runs_with_weights_from_the_file_beside_it(graph: Path, threads: int | None) -> None:
    image, noise = np.full((1, 16, 16, 3), 100, np.uint8), normal(0, (1, 4, 16, 16))
    outputs = open_graph(graph, "cpu", threads)({"image": image, "noise": noise})
    np.testing.assert_array_equal(outputs["output"], fake_bundle.reference(image, noise))


@pytest.mark.parametrize("threads", [None, 1])
def test_shared_memory_gives_the_same(graph: Path, threads: int | None) -> None:
    inputs = {"image": np.full((1, 16, 16, 3), 100, np.uint8), "noise": normal(0, (1, 4, 16, 16))}
    shared, private = open_shared(graph, "cpu", threads)(inputs), open_graph(graph, "cpu", threads)(inputs)
    np.testing.assert_array_equal(shared["output"], private["output"])


def test_memory_of_a_gpu_is_not_shared(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [*PROVIDERS.values()])
    with pytest.raises(CodiError, match="memory 'shared' is for the cpu provider, not cuda"):
        open_shared(graph, "cuda")


def test_an_unknown_provider_is_answered_with_those_that_are_here(graph: Path) -> None:
    with pytest.raises(CodiError, match=r"unknown provider 'tpu'; available: .*cpu") as caught:
        open_graph(graph, "tpu")
    assert caught.value.code is ErrorCode.UNKNOWN_NAME


def test_an_absent_provider_is_an_error_and_never_the_cpu_instead(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(CodiError, match="onnxruntime has no cuda provider here") as caught:
        open_graph(graph, "cuda")
    assert caught.value.code is ErrorCode.BACKEND
    assert "codi-export[gpu]" in caught.value.hint


def test_a_graph_that_cannot_be_opened_is_named(graph: Path) -> None:
    graph.write_bytes(b"not a graph")
    with pytest.raises(CodiError, match=r"onnxruntime cannot open .*sr-2step\.onnx"):
        open_graph(graph)


def test_a_call_that_cannot_run_says_why(graph: Path) -> None:
    with pytest.raises(CodiError, match=r"onnxruntime cannot run .*image"):
        open_graph(graph)({"image": np.zeros((1, 2, 2, 3), np.uint8), "noise": normal(0, (1, 4, 16, 16))})


def test_which_lowering_it_would_rather_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [BACKEND.lowering(name) for name in ("cpu", "cuda", "tensorrt")] == ["portable", "contrib", "portable"]
    monkeypatch.setenv(OUR_KERNELS, "libcodi_onnxruntime.so")
    assert [BACKEND.lowering(name) for name in ("cpu", "cuda", "tensorrt")] == ["portable", "codi", "portable"]


def test_kernels_that_are_not_there(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OUR_KERNELS, "no/libcodi_onnxruntime.so")
    with pytest.raises(CodiError, match=OUR_KERNELS):
        open_graph(graph)


def test_a_limit_is_for_gpus(graph: Path) -> None:
    with pytest.raises(CodiError, match="a memory limit is for GPU providers, not cpu"):
        open_within(graph, "cpu", None, 2**30)
    with pytest.raises(CodiError, match="no cuda provider here"):
        open_within(graph, "cuda", None, 2**30)


def test_a_limit_reaches_the_provider(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is not here: what it would be opened with."""
    asked = []

    class Session:
        def __init__(self, *_: object, providers: list[object], **__: object) -> None:
            asked.append(providers[0])
            raise RuntimeError("no GPU")

    monkeypatch.setattr(backend, "available", lambda: ("cuda",))
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(CodiError, match="no GPU"):
        open_within(graph, "cuda", None, 5 * 2**30)
    name, options = asked[0]
    assert name == "CUDAExecutionProvider" and options["gpu_mem_limit"] == str(5 * 2**30)
