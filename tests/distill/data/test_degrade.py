import numpy as np
from PIL import Image

from distill.data import degrade
from tests.distill.conftest import picture

PHOTO = np.asarray(picture(1, 96, 64))


def test_the_size_is_a_quarter_and_the_seed_decides_everything() -> None:
    first, again, other = (degrade.degrade(PHOTO, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (24, 16, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_wears_the_picture_but_keeps_it() -> None:
    clean = degrade.bicubic(PHOTO).astype(float)
    errors = [np.abs(degrade.degrade(PHOTO, np.random.default_rng(seed)) - clean).mean() for seed in range(12)]
    assert min(errors) > 0.5
    assert np.median(errors) < 30


def test_bicubic_is_pillows() -> None:
    expected = Image.fromarray(PHOTO).resize((16, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(degrade.bicubic(PHOTO), np.asarray(expected))
