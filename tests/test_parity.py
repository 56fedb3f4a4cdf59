"""The gate: its figures by hand, and each way to fail it."""

from collections.abc import Callable

import numpy as np
import pytest

from codi_export import parity
from codi_export.errors import CodiError, ErrorCode
from codi_export.parity import Outcome
from codi_export.spec import TOLERANCES


def outcome(seed: int) -> Outcome:
    rng = np.random.default_rng(seed)
    latents = [rng.standard_normal((1, 4, 8, 8)).astype(np.float32) for _ in range(3)]
    picture = rng.uniform(-0.9, 0.9, (1, 3, 32, 32)).astype(np.float32)
    return Outcome(np.round((picture.transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8), picture, latents)


def changed(one: Outcome, latent: int | None = None, by: float = 0.0, picture: float = 0.0, levels: int = 0) -> Outcome:
    latents = [x * (1 + by) if index == latent else x for index, x in enumerate(one.latents)]
    return Outcome(one.levels + np.uint8(levels), (one.picture + np.float32(picture)), latents)


LIMIT = TOLERANCES["fp32"]
WANTED = [outcome(0), outcome(1)]


def test_psnr_by_hand() -> None:
    """Peak 2, difference 0.02 everywhere: 20 log10(2 / 0.02) = 40 dB."""
    black = np.zeros((1, 3, 4, 4), np.float32)
    assert parity.psnr(black, black + np.float32(0.02)) == pytest.approx(40, abs=1e-5)
    assert parity.psnr(black, black) == parity.EQUAL_DB


def test_relative_rms_by_hand() -> None:
    want = np.array([3, 4], np.float32)
    assert parity.relative_rms(np.array([3, 4.5], np.float32), want) == pytest.approx(0.1)


def test_levels_do_not_wrap_around() -> None:
    assert parity.level_difference(np.array([255], np.uint8), np.array([0], np.uint8)) == 255


def test_equal_outcomes_pass() -> None:
    figures = parity.require(WANTED, WANTED, LIMIT)
    assert (figures.image_psnr_db, figures.latent_rms, figures.max_level) == (parity.EQUAL_DB, 0.0, 0)


def test_the_worst_pair_counts() -> None:
    figures = parity.require([WANTED[0], changed(WANTED[1], latent=1, by=5e-5)], WANTED, LIMIT)
    assert figures.latent_rms == pytest.approx(5e-5, rel=3e-3)  # float32 near 1 is spaced 1.2e-7, 0.24 % of 5e-5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda one: changed(one, latent=1, by=2e-4), "x of step 2 is the first to, by 2.0e-04"),
        (lambda one: changed(one, picture=0.004), "the decoded picture does, 54.0 dB"),
        (lambda one: changed(one, levels=2), "the 8-bit picture does, by 2 levels"),
        (lambda one: changed(one, latent=2, by=np.nan), "the graph gives NaN or infinity at step 3"),
        (lambda one: changed(one, picture=np.inf), "the graph gives NaN or infinity in the decoder"),
        (lambda one: Outcome(one.levels, one.picture * 0, one.latents), "the graph gives a picture of one colour"),
    ],
)
def test_failures_say_where(change: Callable[[Outcome], Outcome], says: str) -> None:
    with pytest.raises(CodiError) as raised:
        parity.require([WANTED[0], change(WANTED[1])], WANTED, LIMIT)
    assert raised.value.code is ErrorCode.PARITY
    assert says in raised.value.message


def test_a_graph_that_ignores_its_noise_fails() -> None:
    with pytest.raises(CodiError, match="the same latent for different noise"):
        parity.require([WANTED[0], WANTED[0]], WANTED, LIMIT)


def test_two_that_are_broken_alike_fail() -> None:
    broken = [changed(one, latent=0, by=np.nan) for one in WANTED]
    with pytest.raises(CodiError, match="the torch pipeline gives NaN"):
        parity.require(broken, broken, LIMIT)
