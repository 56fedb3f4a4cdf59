"""Small graphs through the real builder of TensorRT-RTX, ahead of time: what is built, and what a failure says."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from codi_export import registry
from codi_export.backends import Backend, Built, EngineOptions
from codi_export.backends.nvidia import build as building
from codi_export.backends.nvidia import log
from codi_export.errors import CodiError, ErrorCode

RTX: Backend = registry.get("backends", "tensorrt-rtx")


def write(folder: Path, body: str, shape: str = "1,8,16,16") -> Path:
    """A graph x -> y with a weight of 8 x 8 x 3 x 3."""
    weight = np.random.default_rng(0).standard_normal((8, 8, 3, 3)).astype(np.float32)
    model = onnx.parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 18]>
        toy (float[{shape}] x) => (float[{shape}] y) {{ {body} }}
    """)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "unet.conv.weight"))
    for node in model.graph.node:
        node.name = f"step1/{node.output[0]}"
        node.input[:] = ["unet.conv.weight" if name == "w" else name for name in node.input]
    onnx.save(model, folder / "toy.onnx")
    return folder / "toy.onnx"


CONV = "a = Conv <pads = [1, 1, 1, 1]> (x, w) y = Relu (a)"


def build(path: Path, **options: Any) -> Built:
    assert RTX.compiler is not None
    return RTX.compiler.build(path, EngineOptions(**{"sm": 89, **options}), lambda *_: None)


def test_the_version_is_what_an_engine_depends_on() -> None:
    assert RTX.compiler is not None
    assert RTX.compiler.version().count(".") == 2


@pytest.mark.parametrize("sm", [86, 89, 120])
def test_a_graph_becomes_an_engine_without_a_gpu(sm: int, tmp_path: Path) -> None:
    built = build(write(tmp_path, CONV), sm=sm)
    assert len(built.engine) > 1000
    assert sum(built.kernels.values()) >= 1


def test_phases_are_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    assert RTX.compiler is not None
    RTX.compiler.build(write(tmp_path, CONV), EngineOptions(sm=89), lambda *phase: told.append(phase))
    assert told[0][0] == "Building engine"
    assert all(0 <= done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]


def test_an_operator_that_the_parser_refuses_is_named_with_its_module(tmp_path: Path) -> None:
    path = write(tmp_path, f"{CONV.replace('y =', 'b =')} y = Det (b)")
    modules = {"step1/a": "unet.conv", "step1/y": "unet.mid_block.attentions.0"}
    with pytest.raises(CodiError, match=r"refuses Det at step1/y, from unet.mid_block.attentions.0") as caught:
        build(path, log=tmp_path / "engines/toy.log", modules=modules)
    assert caught.value.code is ErrorCode.BACKEND
    assert str(tmp_path / "engines/toy.log") in caught.value.hint
    assert "Det" in (tmp_path / "engines/toy.log").read_text()


def test_a_gpu_that_it_cannot_build_for_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"does not build for SM 87 ahead of time: .*SM89") as caught:
        build(write(tmp_path, CONV), sm=87, log=tmp_path / "toy.log")
    assert "on the device" in caught.value.hint
    assert not (tmp_path / "toy.log").exists()


def test_free_sizes_need_a_bucket_each(tmp_path: Path) -> None:
    path = write(tmp_path, CONV, "1,8,H,W")
    with pytest.raises(CodiError, match="inputs with free sizes need a shape bucket: x"):
        build(path)
    sizes = [(1, 8, side, side) for side in (8, 16, 32)]
    assert build(path, buckets=({"x": tuple(sizes)},)).engine
    with pytest.raises(CodiError, match="no input 'z'; the graph takes x"):
        build(path, buckets=({"z": tuple(sizes)},))


def test_weights_that_can_be_replaced_are_named(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"no weights unet\.conv\.bias"):
        build(write(tmp_path, CONV), refittable=("unet.conv.bias",))


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_weights_that_can_be_replaced_need_the_gpu(tmp_path: Path) -> None:
    """Its kernels are then made by the driver."""
    with pytest.raises(CodiError, match="this needs a GPU, and there is none here") as caught:
        build(write(tmp_path, CONV), refittable=("unet.conv.weight",))
    assert "codi-export finalize" in caught.value.hint


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "toy.onnx").write_bytes(b"not a graph")
    with pytest.raises(CodiError, match="no engine: the parser"):
        build(tmp_path / "toy.onnx")


class Config:
    """A builder's config that takes only good timing caches."""

    def create_timing_cache(self, data: bytes) -> str | None:
        return None if data == b"broken" else f"cache of {data!r}"

    def set_timing_cache(self, cache: str, ignore_mismatch: bool) -> bool:
        self.used = cache
        return "older" not in cache

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: b"timings")


@pytest.mark.parametrize("content", [b"broken", b"older", b"fine", None])
def test_a_timing_cache_that_cannot_be_used_is_dropped_with_a_warning(content: bytes | None, tmp_path: Path) -> None:
    path, config, lines = tmp_path / "engines/a.timing", Config(), list[tuple[int, str]]()
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    building._use_timing(config, path, lines)
    assert config.used == ("cache of b'fine'" if content == b"fine" else "cache of b''")
    assert bool(log.warnings(lines)) == (content in (b"broken", b"older"))
    building._keep_timing(config, path)
    assert path.read_bytes() == b"timings"


def test_what_a_version_lacks_is_asked_of_its_module() -> None:
    trt = SimpleNamespace(__name__="tensorrt", __version__="8.0", BuilderFlag=SimpleNamespace(REFIT=1))
    assert building._flag(trt, "REFIT") == 1
    with pytest.raises(CodiError, match=r"tensorrt 8\.0 has no VERSION_COMPATIBLE"):
        building._flag(trt, "VERSION_COMPATIBLE")
    with pytest.raises(CodiError, match="SM 89 ahead of time: only for the GPU that is here"):
        building._set_sm(trt, None, 89)
