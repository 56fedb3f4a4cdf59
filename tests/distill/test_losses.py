"""The identities of the two predictors (distill/README.md 6), in float64."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from distill import losses

angles = st.floats(0.05, 1.5)


def _pair(angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    value = torch.tensor(angle, dtype=torch.float64)
    return value.cos(), value.sin()


def _draw(seed: int, count: int) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, 3, 3, generator=rng, dtype=torch.float64) for _ in range(count)]


@given(angles, angles, st.integers(0, 999))
def test_how_far_each_predictor_strays_from_the_true_latent(angle_t: float, angle_s: float, seed: int) -> None:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = _pair(angle_t), _pair(angle_s)
    x, eps, x_hat = _draw(seed, 3)
    z_t, true_s = losses.diffuse(x, eps, alpha_t, sigma_t), losses.diffuse(x, eps, alpha_s, sigma_s)
    eps_hat = (z_t - alpha_t * x_hat) / sigma_t
    error = x_hat - x
    prev = losses.next_latent(x_hat, eps, alpha_s, sigma_s)
    ddim = losses.next_latent(x_hat, eps_hat, alpha_s, sigma_s)
    torch.testing.assert_close(prev - true_s, alpha_s * error)
    torch.testing.assert_close(ddim - true_s, (alpha_s - sigma_s * alpha_t / sigma_t) * error)


@given(angles, angles, st.integers(0, 999))
def test_the_two_residual_identities(angle_t: float, angle_s: float, seed: int) -> None:
    (alpha_t, sigma_t), (alpha_s, sigma_s) = _pair(angle_t), _pair(angle_s)
    x, eps, x_t, x_s = _draw(seed, 4)
    eps_t = (losses.diffuse(x, eps, alpha_t, sigma_t) - alpha_t * x_t) / sigma_t
    for noise, pull in ((eps_t, torch.zeros_like(x)), (eps, alpha_t / sigma_t * (x_t - x))):
        z_s = losses.next_latent(x_t, noise, alpha_s, sigma_s)
        eps_s = (z_s - alpha_s * x_s) / sigma_s
        torch.testing.assert_close(eps_s - eps_t, alpha_s / sigma_s * (x_t - x_s) + pull)


def test_losses_on_numbers_worked_out_by_hand() -> None:
    a = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    b = torch.tensor([4.0, 2.0]).reshape(2, 1, 1, 1)
    for loss in (losses.consistency_eps, losses.consistency_x, losses.guidance):
        assert loss(a, b).tolist() == [9.0, 0.0]
