"""Conversions between x, eps and v at fixed (z, t) (codi-method 7.3, 1)."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codi_export.model import prediction
from codi_export.model.denoiser import guided
from codi_export.spec import PredictionType

numbers = st.floats(-3, 3)
angles = st.floats(0.05, 1.5)  # alpha and sigma both away from 0, where each kind can be converted


def made(
    kind: PredictionType, x: torch.Tensor, eps: torch.Tensor, alpha: torch.Tensor, sigma: torch.Tensor
) -> torch.Tensor:
    """What a perfect network of this kind answers."""
    answers = {"epsilon": eps, "sample": x, "v_prediction": prediction.to_v(x, eps, alpha, sigma)}
    return answers[kind]


@pytest.mark.parametrize("kind", get_args(PredictionType))
@given(x=numbers, eps=numbers, angle=angles)
def test_every_kind_gives_back_x_and_eps(kind: PredictionType, x: float, eps: float, angle: float) -> None:
    x_, eps_, alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in (x, eps, math.cos(angle), math.sin(angle)))
    z = alpha * x_ + sigma * eps_
    output = made(kind, x_, eps_, alpha, sigma)
    known = (kind, output, z, alpha, sigma)
    assert float(prediction.to_x(*known)) == pytest.approx(x, abs=1e-12)
    assert float(prediction.to_eps(*known)) == pytest.approx(eps, abs=1e-12)


@pytest.mark.parametrize("kind", get_args(PredictionType))
@given(output=numbers, z=numbers, angle=angles)
def test_and_back_from_x_and_eps(kind: PredictionType, output: float, z: float, angle: float) -> None:
    output_, z_, alpha, sigma = (
        torch.tensor(v, dtype=torch.float64) for v in (output, z, math.cos(angle), math.sin(angle))
    )
    known = (kind, output_, z_, alpha, sigma)
    x, eps = prediction.to_x(*known), prediction.to_eps(*known)
    assert float(prediction.of(kind, x, eps, alpha, sigma)) == pytest.approx(output, abs=1e-12)
    assert float(alpha * x + sigma * eps) == pytest.approx(z, abs=1e-12)


@pytest.mark.parametrize("kind", get_args(PredictionType))
@given(cond=numbers, uncond=numbers, w=st.floats(0, 14), z=numbers, angle=angles)
def test_guiding_before_is_guiding_after(
    kind: PredictionType, cond: float, uncond: float, w: float, z: float, angle: float
) -> None:
    cond_, uncond_, w_, z_, alpha, sigma = (
        torch.tensor(v, dtype=torch.float64) for v in (cond, uncond, w, z, math.cos(angle), math.sin(angle))
    )
    for convert in (prediction.to_x, prediction.to_eps):
        before = convert(kind, guided(cond_, uncond_, w_), z_, alpha, sigma)
        after = guided(*(convert(kind, output, z_, alpha, sigma) for output in (cond_, uncond_)), w_)
        assert float(before) == pytest.approx(float(after), abs=1e-9)  # 1 / sigma is up to 20, w up to 14
