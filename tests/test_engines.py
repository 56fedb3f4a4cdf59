"""Which engine runs here, and what is said where none does."""

from dataclasses import replace
from pathlib import Path

import pytest

from codi_export import bundle, engines
from codi_export.engines import Engine
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Manifest
from tests import fake_bundle
from tests.fake_engines import ORIN, Runtime, other


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return fake_bundle.write(tmp_path)


def put(folder: Path, manifest: Manifest, runtime: Runtime, sm: int = 87, golden: str = "equal") -> Engine:
    graph, backend = manifest.graphs[0], runtime.backend()
    engine = Engine(
        graph.name, "tensorrt", runtime.version, sm, "Orin", "CUDA 12.6", "fp32", graph.inputs,
        engines.sources(manifest, graph), 1.0, 1, golden=golden,
    )  # fmt: skip
    return engines.write(folder, engines.stem(manifest, graph, backend, sm), b"engine of it", engine)


def test_the_name_says_for_what_it_is(tmp_path: Path, manifest: Manifest) -> None:
    path = put(tmp_path, manifest, Runtime()).path
    assert path.startswith("engines/sm87-tensorrt10.3.0-fp32-1x16x16x3-") and path.endswith(".engine")


def test_what_was_written_is_found(tmp_path: Path, manifest: Manifest) -> None:
    engine = put(tmp_path, manifest, Runtime())
    assert engines.find(tmp_path, manifest, manifest.graphs[0], Runtime().backend()) == engine


def message(folder: Path, manifest: Manifest, runtime: Runtime) -> str:
    with pytest.raises(CodiError) as caught:
        engines.find(folder, manifest, manifest.graphs[0], runtime.backend())
    assert caught.value.code is ErrorCode.NO_ENGINE
    assert "codi-export finalize" in caught.value.hint
    return caught.value.message


def test_none_at_all(tmp_path: Path, manifest: Manifest) -> None:
    assert message(tmp_path, manifest, Runtime()) == (
        "no engine of sr-2step for tensorrt 10.3.0 on SM 87 (Orin); there is none at all"
    )


def test_one_of_another_gpu_or_version_is_named(tmp_path: Path, manifest: Manifest) -> None:
    put(tmp_path, manifest, Runtime())
    assert message(tmp_path, manifest, Runtime(device=other(ORIN, 89))).endswith("there is tensorrt 10.3.0 on SM 87")
    assert message(tmp_path, manifest, Runtime(version="10.7.0")).endswith("there is tensorrt 10.3.0 on SM 87")


def test_one_of_a_former_adapter_is_never_used(tmp_path: Path, manifest: Manifest) -> None:
    put(tmp_path, manifest, Runtime())
    graph = manifest.graphs[0]
    files = tuple(replace(entry, sha256="0" * 64) if entry.path == graph.path else entry for entry in manifest.files)
    assert message(tmp_path, replace(manifest, files=files), Runtime()).endswith("for other weights")


def test_one_that_was_never_checked_is_not_used(tmp_path: Path, manifest: Manifest) -> None:
    put(tmp_path, manifest, Runtime(), golden="")
    assert "never compared with torch's output" in message(tmp_path, manifest, Runtime())


@pytest.mark.parametrize("damage", [b"", b"engine of xx", b"engine of it and more"])
def test_a_damaged_engine_is_an_error(damage: bytes, tmp_path: Path, manifest: Manifest) -> None:
    (tmp_path / put(tmp_path, manifest, Runtime()).path).write_bytes(damage)
    with pytest.raises(CodiError) as caught:
        engines.find(tmp_path, manifest, manifest.graphs[0], Runtime().backend())
    assert caught.value.code is ErrorCode.HASH_MISMATCH


def test_an_engine_without_its_sidecar_does_not_count(tmp_path: Path, manifest: Manifest) -> None:
    """As one leaves it that was killed between the two."""
    (tmp_path / put(tmp_path, manifest, Runtime()).path).with_suffix(".json").unlink()
    assert "none at all" in message(tmp_path, manifest, Runtime())


def test_a_bundle_with_engines_is_still_a_bundle(tmp_path: Path, manifest: Manifest) -> None:
    put(tmp_path, manifest, Runtime())
    bundle.check(tmp_path, manifest)
    assert bundle.unlisted(tmp_path, manifest) == []
