"""C++ and Python compute the same numbers, bit for bit: noise, tiles, blending, resizing, colours, hashes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codi_export.runtime import color, tiling
from codi_export.runtime.image import resize_bicubic
from codi_export.runtime.noise import normal
from tests.runtime.cpp.shims import Pixels, Shims

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data/noise.json").read_text())

sizes = st.integers(1, 90)
small = st.integers(1, 9)
seeds = st.integers(0, 2**64 - 1)
contents = st.sampled_from(["random", "flat", "ramp", "edge", "extremes"])


@pytest.fixture(scope="module")
def shims(release: Path) -> Shims:
    return Shims(release)


def picture(height: int, width: int, content: str, seed: int = 0) -> Pixels:
    random = np.random.default_rng(seed)
    match content:
        case "random":
            return random.integers(0, 256, (height, width, 3), np.uint8)
        case "flat":
            return np.full((height, width, 3), random.integers(0, 256, 3), np.uint8)
        case "ramp":
            return np.add.outer(np.arange(height), np.arange(width)).astype(np.uint8)[..., None].repeat(3, axis=2)
        case "edge":
            return (
                np.where(np.arange(width)[None, :, None] < width // 2, 0, 255)
                .astype(np.uint8)
                .repeat(height, 0)
                .repeat(3, 2)
            )
        case _:
            return random.choice(np.array([0, 255], np.uint8), (height, width, 3))


@pytest.mark.parametrize("vector", VECTORS["normal"])
def test_noise_has_the_published_bits(shims: Shims, vector: dict[str, Any]) -> None:
    noise = shims.noise(int(vector["seed"]), tuple(vector["shape"]), tuple(vector["origin"]), vector["image_index"])
    assert [f"{bits:08x}" for bits in noise.view(np.uint32).ravel()] == vector["float32_bits"]


@given(seed=seeds, shape=st.tuples(small, small, small, small), y=st.integers(0, 2**20), x=st.integers(0, 2**20))
def test_noise(shims: Shims, seed: int, shape: tuple[int, int, int, int], y: int, x: int) -> None:
    np.testing.assert_array_equal(shims.noise(seed, shape, (y, x)), normal(seed, shape, (y, x)))


@given(length=st.integers(1, 300), tile=st.integers(1, 80), align=st.integers(1, 8), scale=st.integers(1, 4))
def test_tiles_lie_and_weigh_the_same(shims: Shims, length: int, tile: int, align: int, scale: int) -> None:
    ours, theirs = tiling.plan(length, tile, align, scale), shims.plan(length, tile, align, scale)
    for name in ("starts", "weights", "total"):
        np.testing.assert_array_equal(theirs[name], getattr(ours, name), name)
    line = np.arange(length, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(theirs["sources"].astype(np.uint8), tiling.pad(line, 1, tile, align)[0, :, 0])


@given(height=sizes, width=sizes, tile=st.integers(4, 40), align=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_blending(shims: Shims, height: int, width: int, tile: int, align: int, seed: int) -> None:
    rows, columns = tiling.plan(height, tile, align), tiling.plan(width, tile, align)
    shape = (len(rows.starts), len(columns.starts), tile, tile, 3)
    tiles = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    canvas = tiling.Canvas(rows, columns, height, width)
    for row, column in np.ndindex(shape[:2]):
        canvas.add(row, column, tiles[row, column])
    np.testing.assert_array_equal(shims.blend(height, width, tile, align, tiles), canvas.pixels())


@given(height=sizes, width=sizes, to=st.tuples(sizes, sizes), content=contents, grey=st.booleans())
def test_resizing_is_pillows(
    shims: Shims, height: int, width: int, to: tuple[int, int], content: str, grey: bool
) -> None:
    assume(to[0] >= height)  # where the height shrinks, versions of Pillow differ in which axis is first
    pixels = np.ascontiguousarray(picture(height, width, content)[..., 0] if grey else picture(height, width, content))
    np.testing.assert_array_equal(shims.resize(pixels, *to), resize_bicubic(pixels, *to))


@pytest.mark.parametrize("scale", [2, 4])
@given(height=sizes, width=sizes, first=contents, second=contents, seed=st.integers(0, 99))
def test_colour_fixes(shims: Shims, scale: int, height: int, width: int, first: str, second: str, seed: int) -> None:
    photo, large = picture(height, width, first, seed), picture(height * scale, width * scale, second, seed + 1)
    np.testing.assert_array_equal(shims.fix("wavelet", large, photo), color.wavelet(large, photo))
    np.testing.assert_array_equal(shims.fix("adain", large, photo), color.adain(large, photo))


@given(data=st.binary(max_size=400), piece=st.integers(1, 130))
def test_sha256(shims: Shims, data: bytes, piece: int) -> None:
    assert shims.sha256(data, piece) == hashlib.sha256(data).hexdigest()
