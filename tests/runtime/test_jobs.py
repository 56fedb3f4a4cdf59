"""Every clash is found before anything runs, and no input is ever overwritten."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import jobs
from codi_export.runtime.image import Picture, read, write
from codi_export.runtime.jobs import Job, plan
from codi_export.runtime.opening import load
from codi_export.runtime.session import Session
from tests import fake_bundle


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.png", "a.jpg", "c.BMP"):
        Image.new("RGB", (6, 5), "teal").save(folder / name)
    (folder / "notes.txt").touch()
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Session:
    fake_bundle.write(tmp_path / "bundle")
    return load(tmp_path / "bundle")


def test_one_file_becomes_the_file_that_is_named(photos: Path, tmp_path: Path) -> None:
    assert plan([photos / "b.png"], tmp_path / "out.webp") == [Job(photos / "b.png", tmp_path / "out.webp")]


def test_one_file_goes_into_a_folder_that_exists(photos: Path, tmp_path: Path) -> None:
    assert plan([photos / "b.png"], tmp_path) == [Job(photos / "b.png", tmp_path / "b.png")]


def test_a_folder_means_its_images_by_name(photos: Path, tmp_path: Path) -> None:
    targets = [job.target for job in plan([photos], tmp_path / "out")]
    assert targets == [tmp_path / "out" / name for name in ("a.jpg", "b.png", "c.png")]


def test_an_unknown_suffix_is_found_before_anything_runs(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"unknown suffix '\.xyz'"):
        plan([photos / "b.png"], tmp_path / "out.xyz")


def test_several_inputs_need_a_folder(photos: Path, tmp_path: Path) -> None:
    for inputs in ([photos], [photos / "a.jpg", photos / "b.png"]):
        with pytest.raises(CodiError, match="several inputs need a folder"):
            plan(inputs, tmp_path / "out.png")


def test_two_inputs_never_become_one_output(photos: Path, tmp_path: Path) -> None:
    (photos / "c.png").write_bytes((photos / "b.png").read_bytes())
    with pytest.raises(CodiError, match=r"c\.BMP and .*c\.png would both become"):
        plan([photos], tmp_path / "out")


def test_outputs_that_exist_are_kept_unless_asked(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.touch()
    with pytest.raises(CodiError, match="exists") as caught:
        plan([photos / "b.png"], out)
    assert caught.value.code is ErrorCode.OUTPUT_EXISTS
    assert "--overwrite" in caught.value.hint
    assert len(plan([photos / "b.png"], out, overwrite=True)) == 1


def test_an_input_is_never_overwritten(photos: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(photos / "b.png")
    for inputs, out in (([photos], photos), ([photos / "b.png"], link), ([link], photos / "b.png")):
        with pytest.raises(CodiError, match="is an input"):
            plan(inputs, out, overwrite=True)


def test_a_folder_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="holds no images"):
        plan([tmp_path], tmp_path / "out")


def test_a_job_enlarges_alpha_and_keeps_the_profile(session: Session, tmp_path: Path) -> None:
    alpha = np.full((5, 6), 128, np.uint8)
    write(tmp_path / "a.png", Picture(np.zeros((5, 6, 3), np.uint8), alpha, b"profile"))
    done = jobs.run(session, Job(tmp_path / "a.png", tmp_path / "new/folder/b.png"))
    result = read(tmp_path / "new/folder/b.png")
    assert (done.height, done.width, done.notices) == (20, 24, ())
    assert done.latency_ms > 0
    assert result.alpha is not None
    assert set(result.alpha.ravel()) == {128}
    assert result.profile == b"profile"


def test_a_bad_input_writes_nothing(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(CodiError, match="the file is empty"):
        jobs.run(session, Job(tmp_path / "a.png", tmp_path / "new/b.png"))
    assert not (tmp_path / "new").exists()
