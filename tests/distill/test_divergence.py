"""What diverges and what does not, in closed form (distill/README.md 3): Gaussian data, a student with one gain a step.

x ~ N(0, 1) and x_hat = a_t z. With PREv, the loss in x and the model's own estimate in z_s, the mean target for a_t is
a_s (alpha_s a_t + sigma_s sigma_t), for E z^2 = 1: what a_t is off by comes back a_s alpha_s times as large. The term
L_g adds lambda (alpha_t - a_t), so a_t settles only if a_s alpha_s < 1 + lambda, and then at
(a_s sigma_s sigma_t + lambda alpha_t) / (1 + lambda - a_s alpha_s). With lambda = 0 that is above 1 at the second point
of the grid already.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from distill.ema import Ema
from distill.step import CodiConfig, advice, codi_loss, draw
from tests.distill import stubs
from tests.distill.stubs import Stub, gaussian

GAP, BATCH = 50, 160
TABLES = stubs.schedule()
OWN_ERROR: dict[str, Any] = {"predictor": "prev", "loss_space": "x", "ode_model": "online"}
WEIGHTS = [0.0, 0.1, 0.3, 0.6, 1.0]


class Gains(Stub):
    """x_hat = a_t z, begun at the posterior mean, a_t = alpha_t: the backbone's best."""

    def __init__(self) -> None:
        super().__init__(gaussian(1.0), shape=(1000 // GAP,))
        self.shift.data = TABLES.alphas[GAP - 1 : 1000 : GAP].float().clone()

    def x_eps(
        self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        x = self.shift[(t + 1) // GAP - 1][:, None, None, None] * z
        return x, (z - alpha * x) / sigma.clamp(min=1e-6)


def largest_gain(rate: float = 2.5, steps: int = 125, **method: Any) -> float:
    """max |a_t| after gradient descent on the real loss, or where it passed 1e6. A rate of 2.5 takes a quarter of its
    error from a gain in each step, in the x loss; the loss in eps is up to alpha^2 / sigma^2 = 14 times as steep."""
    config = CodiConfig(L=1000 // GAP, gap=GAP, **method)
    student, rng = Gains(), torch.Generator().manual_seed(0)
    target = Ema(student, lambda _: 0.9)
    models = stubs.models(student, target.average, Stub(gaussian(1.0)))
    for step in range(steps):
        x = torch.randn(BATCH, 1, 1, 1, generator=rng)
        loss, _ = codi_loss(models, TABLES, stubs.sample(x), draw(x, config, rng), config)
        (gradient,) = torch.autograd.grad(loss, [student.shift])
        student.shift.data -= rate * gradient
        target.update(student, step)
        if not student.shift.abs().max() < 1e6:
            break
    return student.shift.abs().max().item()


def settles(weight: float) -> bool:
    """The closed form: whether every gain has a fixed point that attracts."""
    a_s = float(TABLES.alphas[GAP - 1])
    for t in range(2 * GAP - 1, 1000, GAP):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = ((TABLES.alphas[i], TABLES.sigmas[i]) for i in (t, t - GAP))
        room = 1 + weight - a_s * float(alpha_s)
        if room <= 0:
            return False
        a_s = float(a_s * sigma_s * sigma_t + weight * alpha_t) / room
    return True


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_own_error_diverges_where_the_closed_form_says_so(weight: float) -> None:
    gain = largest_gain(steps=200, **OWN_ERROR, weight=weight)
    assert settles(weight) is (weight == 1.0)
    assert gain < 1.5 if settles(weight) else gain >= 1e6
    assert (advice(CodiConfig(**OWN_ERROR, weight=weight)) is None) is settles(weight)


@pytest.mark.parametrize("rate", [1.25, 5.0])
def test_it_is_no_matter_of_the_step_size(rate: float) -> None:
    assert largest_gain(rate, **OWN_ERROR, weight=0.1) >= 1e6


def test_the_average_returns_the_error_too() -> None:
    assert largest_gain(**OWN_ERROR | {"ode_model": "ema"}, weight=0.1) >= 1e6


@pytest.mark.parametrize(
    "change",
    [{"ode_model": "teacher", "weight": 0.0}, {"predictor": "ddim"}, {"loss_space": "eps", "rate": 0.3}],
    ids=["teacher", "ddim", "eps"],
)
def test_each_way_out_keeps_the_gains_where_they_were(change: dict[str, Any]) -> None:
    assert largest_gain(**{**OWN_ERROR, "weight": 0.1, **change}) < 1.5


def test_advice_warns_exactly_there() -> None:
    for predictor, space, ode, weight, objective in itertools.product(
        ["prev", "ddim"], ["x", "eps"], ["online", "ema", "teacher"], [0.0, 0.3, 0.99, 1.0, 2.0], ["codi", "cm"]
    ):
        config = CodiConfig(
            predictor=predictor,  # type: ignore[arg-type]
            loss_space=space,  # type: ignore[arg-type]
            ode_model=ode,  # type: ignore[arg-type]
            weight=weight,
            objective=objective,  # type: ignore[arg-type]
        )
        own_error = (predictor, space, ode != "teacher", objective) == ("prev", "x", True, "codi")
        assert (advice(config) is not None) is (own_error and weight < 1), config
