"""A bundle is whole or it is not a bundle."""

import errno
import json
import os
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


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# The manifest


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
    killed(out)
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


# The files


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


# Building


def fill(folder: Path) -> None:
    """What a build does in its folder, here in one call."""
    made = fake_bundle.write(folder / "inner")
    for path in (folder / "inner").iterdir():
        path.rename(folder / path.name)
    (folder / "inner").rmdir()
    assert bundle.read_manifest(folder) == made


def fail_after_filling(folder: Path) -> None:
    fill(folder)
    raise CodiError(ErrorCode.PARITY, "parity")


def killed(out: Path) -> None:
    """What a build leaves when its process is killed halfway."""
    left = out.parent / f".{out.name}.building"
    (left / "graphs").mkdir(parents=True)
    (left / bundle.MARKER).touch()
    (left / "graphs/half.onnx").touch()


def test_a_build_appears_when_it_is_complete(out: Path) -> None:
    with bundle.building(out) as folder:
        assert (folder / bundle.MARKER).is_file()
        fill(folder)
        assert not out.exists()
    bundle.check(out, bundle.read_manifest(out))
    assert not (out / bundle.MARKER).exists()
    assert list(out.parent.iterdir()) == [out]


def test_a_failed_build_leaves_nothing(out: Path) -> None:
    with pytest.raises(CodiError, match="parity"), bundle.building(out) as folder:
        fail_after_filling(folder)
    assert list(out.parent.iterdir()) == []


def test_a_second_build_recovers_from_one_that_was_killed(out: Path) -> None:
    killed(out)
    with bundle.building(out) as folder:
        assert [path.name for path in folder.iterdir()] == [bundle.MARKER]
        fill(folder)
    bundle.read_manifest(out)
    assert list(out.parent.iterdir()) == [out]


def test_a_build_may_fill_an_empty_folder_or_finish_an_unfinished_one(out: Path) -> None:
    out.mkdir()
    with bundle.building(out) as folder:
        fill(folder)
    (out / bundle.MANIFEST).rename(out / bundle.MARKER)
    with bundle.building(out) as folder:
        fill(folder)
    bundle.read_manifest(out)


def test_a_graph_is_replaced_only_when_asked(out: Path, manifest: Manifest) -> None:
    with pytest.raises(CodiError, match="is a bundle that has sr-2step already") as caught:
        bundle.prepare_output(out, graphs=["sr-1step", "sr-2step"])
    assert caught.value.code is ErrorCode.OUTPUT_EXISTS
    assert "--overwrite" in caught.value.hint
    bundle.check(out, manifest)


def test_the_old_bundle_is_whole_until_the_new_one_is(out: Path, manifest: Manifest) -> None:
    with bundle.building(out, overwrite=True) as folder:
        bundle.check(out, manifest)
        fill(folder)
        (folder / "golden/new").touch()
    assert (out / "golden/new").exists()
    assert list(out.parent.iterdir()) == [out]


def test_the_old_bundle_stays_when_the_new_one_fails(out: Path, manifest: Manifest) -> None:
    before = contents(out)
    with pytest.raises(ZeroDivisionError), bundle.building(out, overwrite=True):
        raise ZeroDivisionError
    assert contents(out) == before


def test_a_build_killed_between_its_two_moves_is_undone_by_the_next(out: Path, manifest: Manifest) -> None:
    out.rename(out.parent / f".{out.name}.replaced")
    killed(out)
    with pytest.raises(ZeroDivisionError), bundle.building(out):
        raise ZeroDivisionError
    bundle.check(out, manifest)


def test_a_finished_bundle_is_added_to(out: Path, manifest: Manifest) -> None:
    """The new one has the old one's files, not its manifest; the old one is whole until then."""
    assert bundle.prepare_output(out, graphs=["depth-2step"]) == manifest
    before = contents(out)
    with bundle.building(out) as folder:
        assert contents(folder).keys() == before.keys() - {bundle.MANIFEST} | {bundle.MARKER}
        (folder / "golden/new").write_text("new")
        bundle.check(out, manifest)
        bundle.write_manifest(folder, manifest)
    assert contents(out) == before | {"golden/new": b"new"}
    assert list(out.parent.iterdir()) == [out]


def test_two_builds_do_not_write_to_one_place(out: Path) -> None:
    with bundle.building(out) as folder:
        with pytest.raises(CodiError, match="another build is writing") as caught, bundle.building(out):
            pass
        assert caught.value.code is ErrorCode.OUTPUT_EXISTS
        fill(folder)
    bundle.read_manifest(out)


@pytest.mark.parametrize("names", [["holiday.jpg"], [bundle.MANIFEST, "holiday.jpg"], [bundle.MARKER, "holiday.jpg"]])
def test_a_folder_of_photos_is_never_deleted(out: Path, names: list[str]) -> None:
    out.mkdir()
    for name in names:
        (out / name).touch()
    with pytest.raises(CodiError, match="is not a bundle") as caught, bundle.building(out, overwrite=True):
        pass
    assert "--overwrite replaces bundles only" in caught.value.hint
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_a_file_in_the_way_is_kept(out: Path) -> None:
    out.write_text("notes")
    with pytest.raises(CodiError, match="is not a bundle"), bundle.building(out, overwrite=True):
        pass
    assert out.read_text() == "notes"


def test_somebody_elses_hidden_folder_is_kept(out: Path) -> None:
    other = out.parent / f".{out.name}.building"
    other.mkdir()
    (other / "notes").touch()
    with pytest.raises(CodiError, match="is in the way"), bundle.building(out):
        pass
    assert (other / "notes").exists()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(out: Path) -> None:
    with pytest.raises(CodiError, match="No space left") as caught, bundle.building(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.code is ErrorCode.WRITE_FAILED
    assert list(out.parent.iterdir()) == []


def test_an_error_about_reading_is_not_called_one_of_writing(out: Path) -> None:
    with pytest.raises(FileNotFoundError), bundle.building(out):
        (out.parent / "no-such-model").read_bytes()


def test_a_parent_that_is_a_file_is_one_clear_error(out: Path) -> None:
    out.write_text("a file")
    with pytest.raises(CodiError, match="cannot write") as caught, bundle.building(out / "below"):
        pass
    assert caught.value.code is ErrorCode.WRITE_FAILED
