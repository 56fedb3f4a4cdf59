"""C++ finds the engine that Python would find, and says the same of those that do not run here."""

import dataclasses
from pathlib import Path

import pytest

from codi_export import bundle, engines
from codi_export.engines import Engine
from codi_export.spec import Manifest
from tests import fake_bundle
from tests.runtime.cpp.capi import STATUS
from tests.runtime.cpp.shims import Shims

OK, NO_ENGINE, HASH, BAD = (STATUS.index(name) for name in ("ok", "no-engine", "hash-mismatch", "bad-bundle"))


@pytest.fixture(scope="module")
def shims(release: Path) -> Shims:
    return Shims(release)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "sr-2step")
    return tmp_path / "sr-2step"


def engine(manifest: Manifest, **other: object) -> Engine:
    graph = manifest.graphs[0]
    made = Engine(
        graph=graph.name,
        backend="tensorrt",
        version="10.3.0",
        sm=87,
        device="Orin",
        driver="12.6",
        precision="fp32",
        inputs=graph.inputs,
        sources=engines.sources(manifest, graph),
        seconds=1.0,
        peak_bytes=1,
        golden="equal to torch's output",
    )
    return dataclasses.replace(made, **other)  # type: ignore[arg-type]


def written(folder: Path, name: str = "one", **other: object) -> Path:
    one = engines.write(folder, name, b"engine", engine(bundle.read_manifest(folder), **other))
    return folder / one.path


def test_the_engine_of_this_device_is_found(shims: Shims, folder: Path) -> None:
    written(folder, "another", sm=89)
    path = written(folder)
    assert shims.engine(folder, "10.3.0", 87) == (OK, str(path))
    assert shims.engine(folder, "10.3.0.26", 87) == (OK, str(path))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sm": 89}, "tensorrt 10.3.0 on SM 89"),
        ({"version": "10.4.0"}, "tensorrt 10.4.0 on SM 87"),
        ({"backend": "tensorrt-rtx"}, "tensorrt-rtx 10.3.0 on SM 87"),
        ({"sources": {"graphs/sr-2step.onnx": "0"}}, "for other weights"),
        ({"graph": "sr-1step"}, "none at all"),
        ({"golden": ""}, "never compared with torch's output"),
    ],
)
def test_an_engine_of_something_else_is_never_run(
    shims: Shims, folder: Path, other: dict[str, object], words: str
) -> None:
    written(folder, **other)
    status, text = shims.engine(folder, "10.3.0", 87)
    assert (status, words in text, "finalize" in text) == (NO_ENGINE, True, True), text


def test_without_engines_there_are_none(shims: Shims, folder: Path) -> None:
    assert shims.engine(folder, "10.3.0", 87)[0] == NO_ENGINE


def test_a_changed_engine_is_never_run(shims: Shims, folder: Path) -> None:
    written(folder).write_bytes(b"enginE")
    assert shims.engine(folder, "10.3.0", 87)[0] == HASH


@pytest.mark.parametrize(("old", "new"), [('"sm": 87', '"sm": "87"'), ('"path": "', '"path": "../'), ("{", "[")])
def test_a_sidecar_that_is_wrong_is_refused(shims: Shims, folder: Path, old: str, new: str) -> None:
    sidecar = written(folder).with_suffix(".json")
    sidecar.write_text(sidecar.read_text().replace(old, new, 1))
    assert shims.engine(folder, "10.3.0", 87)[0] == BAD
