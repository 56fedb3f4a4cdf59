"""Is a graph the torch pipeline? Both are fed the same photo and the same noise, and what comes out is compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Parity, Tolerance

EQUAL_DB = 200.0  # two equal pictures; JSON has no infinity

_HINT = "the graph was not kept; `codi-export doctor` prints the versions that a bug report needs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one pair (photo, noise) became: uint8 [B, H, W, 3], the same as floats [B, 3, H, W] in [-1, 1], and x of
    every step [B, C, h, w]."""

    levels: NDArray[np.uint8]
    picture: NDArray[np.float32]
    latents: Sequence[NDArray[np.float32]]


def require(graph: Sequence[Outcome], reference: Sequence[Outcome], tolerance: Tolerance) -> Parity:
    """The worst figures over all pairs; two or more, with different noise.

    Raises CodiError (parity) that names the first stage to differ, or what is wrong with the pictures altogether.
    """
    _require_alive("the torch pipeline", reference)
    _require_alive("the graph", graph)
    parity, steps = _figures(graph, reference)
    fault = _fault(parity, steps, tolerance)
    if fault:
        raise CodiError(ErrorCode.PARITY, f"the graph differs from the torch pipeline: {fault}", _HINT)
    return parity


def compare(got: Sequence[Outcome], wanted: Sequence[Outcome]) -> Parity:
    """The worst figures over all pairs, without a limit."""
    return _figures(got, wanted)[0]


def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB of images in [-1, 1], so the peak is 2; at most `EQUAL_DB`."""
    mse = float(np.mean(np.square(a.astype(np.float64) - b), dtype=np.float64))
    return min(EQUAL_DB, 10 * float(np.log10(4 / mse))) if mse else EQUAL_DB


def relative_rms(got: NDArray[np.float32], want: NDArray[np.float32]) -> float:
    """RMS of the difference over RMS of what was wanted."""
    want = want.astype(np.float64)
    return float(np.sqrt(np.mean(np.square(got - want)) / np.mean(np.square(want))))


def level_difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """The largest difference of two uint8 images."""
    return int(np.abs(a.astype(np.int16) - b).max())


def latent_rms(got: Outcome, want: Outcome) -> list[float]:
    """Relative RMS of x, step by step."""
    return [relative_rms(g, w) for g, w in zip(got.latents, want.latents, strict=True)]


def _figures(got: Sequence[Outcome], wanted: Sequence[Outcome]) -> tuple[Parity, list[float]]:
    """The worst over all pairs, and of each step's latent."""
    pairs = list(zip(got, wanted, strict=True))
    steps: list[float] = np.max([latent_rms(one, other) for one, other in pairs], axis=0).tolist()
    parity = Parity(
        image_psnr_db=min(psnr(one.picture, other.picture) for one, other in pairs),
        latent_rms=max(steps),
        max_level=max(level_difference(one.levels, other.levels) for one, other in pairs),
    )
    return parity, steps


def _fault(parity: Parity, steps: Sequence[float], limit: Tolerance) -> str:
    """Where the difference begins, or nothing: what differs in a step differs in all that follows."""
    for k, rms in enumerate(steps, start=1):
        if rms > limit.latent_rms:
            return f"x of step {k} is the first to, by {rms:.1e} relative RMS; expected at most {limit.latent_rms:.0e}"
    if parity.image_psnr_db < limit.image_psnr_db:
        return f"the decoded picture does, {parity.image_psnr_db:.1f} dB; expected at least {limit.image_psnr_db:g} dB"
    if limit.max_level is not None and parity.max_level > limit.max_level:
        return f"the 8-bit picture does, by {parity.max_level} levels; expected at most {limit.max_level}"
    return ""


def _require_alive(who: str, outcomes: Sequence[Outcome]) -> None:
    """Two pipelines that are broken alike would agree."""
    for outcome in outcomes:
        for k, x in enumerate(outcome.latents, start=1):
            _refuse(not np.isfinite(x).all(), f"{who} gives NaN or infinity at step {k}")
        _refuse(not np.isfinite(outcome.picture).all(), f"{who} gives NaN or infinity in the decoder")
        _refuse(np.ptp(outcome.picture) == 0, f"{who} gives a picture of one colour, {outcome.picture.flat[0]:.2f}")
    first, *others = (outcome.latents[-1] for outcome in outcomes)
    _refuse(any(np.array_equal(first, x) for x in others), f"{who} gives the same latent for different noise")


def _refuse(bad: bool, message: str) -> None:
    if bad:
        raise CodiError(
            ErrorCode.PARITY, message, "the weights may be damaged, or the adapter untrained for this model"
        )
