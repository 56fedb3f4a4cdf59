"""Writes are whole or absent; paths stay inside."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from codi_export import files
from codi_export.errors import CodiError, ErrorCode


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer old text")
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(CodiError, match=r"cannot write .*a\.txt: No space left") as caught:
        files.write(path, b"new")
    assert caught.value.code is ErrorCode.WRITE_FAILED
    assert "free some space" in caught.value.hint
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="No such file or directory") as caught:
        files.write(tmp_path / "none" / "a.txt", b"")
    assert caught.value.hint == "make its folder first"


def test_a_path_below_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CodiError, match="Not a directory"):
        files.write(tmp_path / "file" / "a.txt", b"")


@pytest.mark.parametrize("relative", ["a", "graphs/a.onnx", "./a", "a..b/...c"])
def test_plain_paths_stay_inside(tmp_path: Path, relative: str) -> None:
    assert files.inside(tmp_path, relative) == tmp_path / relative


@pytest.mark.parametrize(
    "relative", ["", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "C:/a", "a\\b", "a\0b"]
)
def test_paths_that_leave_are_refused(tmp_path: Path, relative: str) -> None:
    with pytest.raises(CodiError, match="leaves") as caught:
        files.inside(tmp_path, relative)
    assert caught.value.code is ErrorCode.BAD_BUNDLE


def test_a_link_out_is_refused_and_a_link_within_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "within").symlink_to(folder)
    with pytest.raises(CodiError, match="leaves"):
        files.inside(folder, "out/secret")
    assert files.inside(folder, "within/a") == folder / "within/a"


def test_sha256_reads_every_block(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(data)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
