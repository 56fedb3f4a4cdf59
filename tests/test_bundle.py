"""A bundle is whole or it is not a bundle."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codi_export import bundle
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Manifest
from tests import fake_bundle


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sr-2step"


@pytest.fixture
def manifest(out: Path) -> Manifest:
    return fake_bundle.write(out)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / bundle.MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_manifest_is_read_as_it_was_written(out: Path, manifest: Manifest) -> None:
    assert bundle.read_manifest(out) == manifest


def test_no_folder_is_a_missing_file(out: Path) -> None:
    with pytest.raises(CodiError, match="no bundle at") as caught:
        bundle.read_manifest(out)
    assert caught.value.code is ErrorCode.MISSING_FILE
    assert "codi-export build" in caught.value.hint


def test_a_folder_without_a_manifest_is_not_a_bundle(out: Path) -> None:
    out.mkdir()
    with pytest.raises(CodiError, match=r"is not a bundle: it holds no codi\.json"):
        bundle.read_manifest(out)


def test_an_unfinished_build_says_so(out: Path) -> None:
    out.mkdir()
    (out / bundle.MARKER).touch()
    with pytest.raises(CodiError, match="is an unfinished build") as caught:
        bundle.read_manifest(out)
    assert "again" in caught.value.hint


def test_a_build_that_was_killed_says_so(out: Path) -> None:
    (bundle.in_the_making(out) / "graphs").mkdir(parents=True)
    with pytest.raises(CodiError, match="is an unfinished build"):
        bundle.read_manifest(out)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", '{"schema": "1"}', '{"schema": 1}', "[" * 100_000])
def test_a_damaged_manifest_is_a_bad_bundle(out: Path, manifest: Manifest, text: str) -> None:
    (out / bundle.MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(CodiError) as caught:
        bundle.read_manifest(out)
    assert caught.value.code is ErrorCode.BAD_BUNDLE


def test_a_newer_schema_is_refused(out: Path, manifest: Manifest) -> None:
    edit(out, lambda value: value.update(schema=2))
    with pytest.raises(CodiError, match="has schema 2; this codi-export reads up to 1") as caught:
        bundle.read_manifest(out)
    assert caught.value.code is ErrorCode.NEWER_SCHEMA
    assert "pip install -U" in caught.value.hint


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "graphs/../../x"])
def test_a_path_that_leaves_the_bundle_is_refused(out: Path, manifest: Manifest, path: str) -> None:
    edit(out, lambda value: value["files"][0].update(path=path))
    with pytest.raises(CodiError, match="leaves"):
        bundle.read_manifest(out)


def test_a_graph_without_a_hash_is_refused(out: Path, manifest: Manifest) -> None:
    edit(out, lambda value: value["files"].pop(1))
    with pytest.raises(CodiError, match=r"graphs/sr-2step\.onnx has no hash"):
        bundle.read_manifest(out)


def test_a_sound_bundle_passes(out: Path, manifest: Manifest) -> None:
    bundle.check(out, manifest)
    bundle.check(out, manifest, how="size")


@pytest.mark.parametrize("index", range(3))
def test_one_flipped_bit_is_found_and_the_file_is_named(out: Path, manifest: Manifest, index: int) -> None:
    path = out / manifest.files[index].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CodiError, match=f"{path.name} has changed") as caught:
        bundle.check(out, manifest)
    assert caught.value.code is ErrorCode.HASH_MISMATCH
    assert "build the bundle again" in caught.value.hint
    bundle.check(out, manifest, how="size")  # which is why a session records how it was checked


@pytest.mark.parametrize("how", ["hash", "size"])
def test_a_cut_file_and_a_missing_file_are_found_either_way(out: Path, manifest: Manifest, how: bundle.How) -> None:
    path = out / manifest.files[0].path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CodiError, match="has 75 bytes, expected 76"):
        bundle.check(out, manifest, how)
    path.unlink()
    with pytest.raises(CodiError, match="is missing"):
        bundle.check(out, manifest, how)


@pytest.mark.parametrize("name", ["a.pt", "graphs/b.BIN", "deep/er/c.ckpt", "d.pkl", "e.pth"])
def test_pickles_are_refused_wherever_they_lie(out: Path, manifest: Manifest, name: str) -> None:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).touch()
    with pytest.raises(CodiError, match="is a pickle file"):
        bundle.check(out, manifest)


def test_a_file_of_another_layout_is_found_without_reading_it_whole(out: Path, manifest: Manifest) -> None:
    """A longer header, shorter data: the tensors lie elsewhere, and a graph would read them shifted, silently."""
    (index,) = (k for k, entry in enumerate(manifest.files) if entry.path == "graphs/fake.safetensors")
    assert manifest.files[index].layout
    path = out / manifest.files[index].path
    data = path.read_bytes()
    path.write_bytes((int.from_bytes(data[:8], "little") + 1).to_bytes(8, "little") + data[8:])
    with pytest.raises(CodiError, match="has another layout than the graphs read"):
        bundle.check(out, manifest, "size")


def test_files_that_nobody_listed_are_known(out: Path, manifest: Manifest) -> None:
    assert bundle.unlisted(out, manifest) == []
    (out / "graphs/left.onnx").touch()
    assert bundle.unlisted(out, manifest) == ["graphs/left.onnx"]
