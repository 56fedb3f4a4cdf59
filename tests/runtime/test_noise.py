"""Published vectors, an independent inverse, moments, and the law that windows agree."""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.errors import CodiError
from codi_export.runtime.noise import inverse_normal, normal, philox

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/noise.json").read_text())

seeds = st.integers(0, 2**64 - 1)
small = st.integers(1, 5)
places = st.integers(0, 2**20)


@pytest.mark.parametrize("vector", VECTORS["philox"])
def test_philox_gives_the_words_that_random123_publishes(vector: dict[str, list[str]]) -> None:
    counter, key, words = ([int(word, 16) for word in vector[name]] for name in ("counter", "key", "words"))
    c0, c1, c2, c3 = (np.array(word, np.uint64) for word in counter)
    assert [int(word) for word in philox((c0, c1, c2, c3), (key[0], key[1]))] == words


@pytest.mark.parametrize("vector", VECTORS["normal"])
def test_normal_gives_the_published_bits(vector: dict[str, Any]) -> None:
    noise = normal(int(vector["seed"]), vector["shape"], vector["origin"], vector["image_index"])
    assert [f"{bits:08x}" for bits in noise.view(np.uint32).ravel()] == vector["float32_bits"]


def test_inverse_normal_agrees_with_the_standard_library() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, 20_000)
    ends = np.arange(200)
    u = (np.concatenate([words, ends, 2**32 - 1 - ends, 2**31 + ends - 100]) + 0.5) * 2.0**-32
    expected = np.array([statistics.NormalDist().inv_cdf(float(value)) for value in u])
    np.testing.assert_allclose(inverse_normal(u), expected, rtol=2e-15, atol=0)


def test_inverse_normal_is_odd() -> None:
    u = (np.arange(1000) * 4_294_967 + 0.5) * 2.0**-32
    np.testing.assert_array_equal(inverse_normal(u), -inverse_normal(1.0 - u))


def test_moments_are_those_of_a_standard_normal() -> None:
    z = normal(7, (1, 4, 500, 500)).astype(np.float64).ravel()
    n = z.size
    assert abs(z.mean()) < 3 / np.sqrt(n)
    assert abs((z**2).mean() - 1) < 3 * np.sqrt(2 / n)
    assert abs((z**3).mean()) < 3 * np.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 3 * np.sqrt(96 / n)


def test_neighbours_channels_and_images_are_uncorrelated() -> None:
    z = normal(3, (2, 2, 200, 200)).astype(np.float64)
    pairs = [(z[..., 1:], z[..., :-1]), (z[..., 1:, :], z[..., :-1, :]), (z[:, 0], z[:, 1]), (z[0], z[1])]
    for a, b in pairs:
        assert abs((a * b).mean()) < 3 / np.sqrt(a.size)


@given(seed=seeds, y=places, x=places, h=small, w=small, dy=small, dx=small)
def test_a_window_of_a_field_is_the_field_made_there(
    seed: int, y: int, x: int, h: int, w: int, dy: int, dx: int
) -> None:
    field = normal(seed, (1, 2, h + dy, w + dx), (y, x))
    np.testing.assert_array_equal(field[..., dy:, dx:], normal(seed, (1, 2, h, w), (y + dy, x + dx)))


@given(seed=seeds, index=st.integers(0, 1000))
def test_an_image_of_a_batch_is_the_image_made_alone(seed: int, index: int) -> None:
    batch = normal(seed, (3, 1, 2, 2), image_index=index)
    np.testing.assert_array_equal(batch[2:], normal(seed, (1, 1, 2, 2), image_index=index + 2))


@given(seed=seeds, bit=st.integers(0, 63))
def test_every_bit_of_the_seed_counts(seed: int, bit: int) -> None:
    assert not np.array_equal(normal(seed, (1, 1, 2, 2)), normal(seed ^ (1 << bit), (1, 1, 2, 2)))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_64_bits_is_refused(seed: int) -> None:
    with pytest.raises(CodiError, match=r"expected 0 to 2\^64 - 1"):
        normal(seed, (1, 1, 1, 1))
