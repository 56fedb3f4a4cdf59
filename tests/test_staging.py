"""A build appears whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from codi_export import bundle, staging
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Manifest
from tests import fake_bundle
from tests.fake_bundle import contents


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "sr-2step"


@pytest.fixture
def manifest(out: Path) -> Manifest:
    return fake_bundle.write(out)


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
    with staging.building(out) as folder:
        assert (folder / bundle.MARKER).is_file()
        fill(folder)
        assert not out.exists()
    bundle.check(out, bundle.read_manifest(out))
    assert not (out / bundle.MARKER).exists()
    assert list(out.parent.iterdir()) == [out]


def test_a_failed_build_leaves_nothing(out: Path) -> None:
    with pytest.raises(CodiError, match="parity"), staging.building(out) as folder:
        fail_after_filling(folder)
    assert list(out.parent.iterdir()) == []


def test_a_second_build_recovers_from_one_that_was_killed(out: Path) -> None:
    killed(out)
    with staging.building(out) as folder:
        assert [path.name for path in folder.iterdir()] == [bundle.MARKER]
        fill(folder)
    bundle.read_manifest(out)
    assert list(out.parent.iterdir()) == [out]


def test_a_build_may_fill_an_empty_folder_or_finish_an_unfinished_one(out: Path) -> None:
    out.mkdir()
    with staging.building(out) as folder:
        fill(folder)
    (out / bundle.MANIFEST).rename(out / bundle.MARKER)
    with staging.building(out) as folder:
        fill(folder)
    bundle.read_manifest(out)


def test_a_graph_is_replaced_only_when_asked(out: Path, manifest: Manifest) -> None:
    with pytest.raises(CodiError, match="is a bundle that has sr-2step already") as caught:
        staging.prepare_output(out, graphs=["sr-1step", "sr-2step"])
    assert caught.value.code is ErrorCode.OUTPUT_EXISTS
    assert "--overwrite" in caught.value.hint
    bundle.check(out, manifest)


def test_the_old_bundle_is_whole_until_the_new_one_is(out: Path, manifest: Manifest) -> None:
    with staging.building(out, overwrite=True) as folder:
        bundle.check(out, manifest)
        fill(folder)
        (folder / "golden/new").touch()
    assert (out / "golden/new").exists()
    assert list(out.parent.iterdir()) == [out]


def test_the_old_bundle_stays_when_the_new_one_fails(out: Path, manifest: Manifest) -> None:
    before = contents(out)
    with pytest.raises(ZeroDivisionError), staging.building(out, overwrite=True):
        raise ZeroDivisionError
    assert contents(out) == before


def test_a_build_killed_between_its_two_moves_is_undone_by_the_next(out: Path, manifest: Manifest) -> None:
    out.rename(out.parent / f".{out.name}.replaced")
    killed(out)
    with pytest.raises(ZeroDivisionError), staging.building(out):
        raise ZeroDivisionError
    bundle.check(out, manifest)


def test_a_finished_bundle_is_added_to(out: Path, manifest: Manifest) -> None:
    """The new one has the old one's files, not its manifest; the old one is whole until then."""
    assert staging.prepare_output(out, graphs=["depth-2step"]) == manifest
    before = contents(out)
    with staging.building(out) as folder:
        assert contents(folder).keys() == before.keys() - {bundle.MANIFEST} | {bundle.MARKER}
        (folder / "golden/new").write_text("new")
        bundle.check(out, manifest)
        bundle.write_manifest(folder, manifest)
    assert contents(out) == before | {"golden/new": b"new"}
    assert list(out.parent.iterdir()) == [out]


def test_two_builds_do_not_write_to_one_place(out: Path) -> None:
    with staging.building(out) as folder:
        with pytest.raises(CodiError, match="another build is writing") as caught, staging.building(out):
            pass
        assert caught.value.code is ErrorCode.OUTPUT_EXISTS
        fill(folder)
    bundle.read_manifest(out)


@pytest.mark.parametrize("names", [["holiday.jpg"], [bundle.MANIFEST, "holiday.jpg"], [bundle.MARKER, "holiday.jpg"]])
def test_a_folder_of_photos_is_never_deleted(out: Path, names: list[str]) -> None:
    out.mkdir()
    for name in names:
        (out / name).touch()
    with pytest.raises(CodiError, match="is not a bundle") as caught, staging.building(out, overwrite=True):
        pass
    assert "--overwrite replaces bundles only" in caught.value.hint
    assert sorted(path.name for path in out.iterdir()) == sorted(names)


def test_a_file_in_the_way_is_kept(out: Path) -> None:
    out.write_text("notes")
    with pytest.raises(CodiError, match="is not a bundle"), staging.building(out, overwrite=True):
        pass
    assert out.read_text() == "notes"


def test_somebody_elses_hidden_folder_is_kept(out: Path) -> None:
    other = out.parent / f".{out.name}.building"
    other.mkdir()
    (other / "notes").touch()
    with pytest.raises(CodiError, match="is in the way"), staging.building(out):
        pass
    assert (other / "notes").exists()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(out: Path) -> None:
    with pytest.raises(CodiError, match="No space left") as caught, staging.building(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.code is ErrorCode.WRITE_FAILED
    assert list(out.parent.iterdir()) == []


def test_an_error_about_reading_is_not_called_one_of_writing(out: Path) -> None:
    with pytest.raises(FileNotFoundError), staging.building(out):
        (out.parent / "no-such-model").read_bytes()


def test_a_parent_that_is_a_file_is_one_clear_error(out: Path) -> None:
    out.write_text("a file")
    with pytest.raises(CodiError, match="cannot write") as caught, staging.building(out / "below"):
        pass
    assert caught.value.code is ErrorCode.WRITE_FAILED
