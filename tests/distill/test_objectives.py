"""The losses of the baselines, on denoisers whose answers are known (distill/README.md 8)."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from codi_export.spec import PredictionType
from distill import losses, objectives
from distill.objectives import OBJECTIVES
from distill.step import CodiConfig, draw
from tests.distill import stubs
from tests.distill.stubs import Stub, drawn, gaussian

TABLES = stubs.schedule()
TS = [19, 39, 499, 979, 999]
CLEAN = 0  # index of the sample whose s is the clean end


def _x(batch: int = len(TS), width: int = 3) -> Tensor:
    return torch.randn(batch, 2, 3, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _knows(x: Tensor) -> Stub:
    return Stub(lambda *_: x)


angles = st.floats(0.05, 1.5)


@given(angles, angles, st.integers(0, 99))
def test_one_step_with_the_spanning_x_ends_where_it_should(one: float, other: float, seed: int) -> None:
    near, far = sorted((one, other))
    if far - near < 1e-2:
        return  # no step to span
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        (torch.tensor(angle, dtype=torch.float64).cos(), torch.tensor(angle, dtype=torch.float64).sin())
        for angle in (far, near)
    )
    z_t, z_s = torch.randn(2, 1, 2, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = losses.spanning_x(z_t, z_s, alpha_t, sigma_t, alpha_s, sigma_s)
    torch.testing.assert_close(losses.next_latent(x, (z_t - alpha_t * x) / sigma_t, alpha_s, sigma_s), z_s)
    clean = torch.ones_like(alpha_t), torch.zeros_like(alpha_t)
    torch.testing.assert_close(losses.spanning_x(z_t, z_s, alpha_t, sigma_t, *clean), z_s)


@pytest.mark.parametrize("gap", [20, 125, 250])
def test_gd_asks_the_teacher_at_t_and_half_way_and_a_student_who_takes_both_steps_has_no_loss(gap: int) -> None:
    """x~ written out: the teacher's two answers, mixed by how far each half turns (all in angles)."""
    ts = [gap - 1, 2 * gap - 1, 999]
    x, config = _x(3), CodiConfig(objective="gd", gap=gap, L=1000 // gap)
    posterior = gaussian(0.5)

    def both(z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        (alpha_m, sigma_m), (alpha_s, sigma_s) = TABLES.at(t - gap // 2, z), TABLES.at(t - gap, z)
        first = posterior(z, t, alpha, sigma)
        middle = alpha_m * first + sigma_m / sigma * (z - alpha * first)
        second = posterior(middle, t, alpha_m, sigma_m)
        share = (alpha_s - sigma_s * alpha_m / sigma_m) / (alpha_s - sigma_s * alpha / sigma)
        return share * second + (1 - share) * first

    teacher, student = Stub(posterior), Stub(both)
    models = stubs.models(student, Stub(lambda *_: torch.tensor(torch.nan)), teacher)
    loss, _ = objectives.gd_loss(models, TABLES, stubs.sample(x), drawn(x, ts, gap), config)
    assert loss.item() < 1e-18
    assert [t.tolist() for _, t in teacher.asked] == [ts, [t - gap // 2 for t in ts]]
    torch.testing.assert_close(student.asked[0][0], teacher.asked[0][0])


def test_cm_asks_the_target_where_one_step_of_the_teacher_ends() -> None:
    x, posterior = _x(), gaussian(0.5)
    draw = drawn(x, TS)
    teacher, student = Stub(posterior), Stub(lambda z, *_: 0 * z)
    target = Stub(lambda z, *_: 3 * z)
    loss, _ = objectives.cm_loss(
        stubs.models(student, target, teacher), TABLES, stubs.sample(x), draw, CodiConfig(objective="cm")
    )
    at_t, at_s = TABLES.at(draw.t, x), TABLES.at(draw.s, x)
    z_t = at_t[0] * x + at_t[1] * draw.eps
    x_t = posterior(z_t, draw.t, *at_t)
    z_s = at_s[0] * x_t + at_s[1] * (z_t - at_t[0] * x_t) / at_t[1]
    torch.testing.assert_close(target.asked[0][0], z_s)
    assert target.asked[0][1].tolist() == [0, *(t - 20 for t in TS[1:])]
    wanted = torch.cat([x_t[: CLEAN + 1], 3 * z_s[CLEAN + 1 :]])  # at the clean end z_s is the answer
    assert loss.item() == pytest.approx(wanted.square().mean().item(), rel=1e-6)  # the loss is taken in float32


@pytest.mark.parametrize("kind", get_args(PredictionType))
def test_denoising_is_measured_in_what_the_backbone_predicts(kind: PredictionType) -> None:
    """An error of 1 in x is 1 / sigma in v and alpha / sigma in eps."""
    x, draw = _x(), drawn(_x(), TS)
    wrong = Stub(lambda *_: x + 1, kind)
    unused = Stub(lambda *_: torch.tensor(torch.nan))
    loss, _ = objectives.denoise_loss(
        stubs.models(wrong, unused, unused), TABLES, stubs.sample(x), draw, CodiConfig(objective="denoise")
    )
    alpha, sigma = (entry.flatten() for entry in TABLES.at(draw.t, x))
    sizes = {"sample": sigma / sigma, "v_prediction": 1 / sigma, "epsilon": alpha / sigma}
    assert loss.item() == pytest.approx(sizes[kind].square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_only_the_student_learns(objective: str) -> None:
    student, target, teacher = (Stub(gaussian(spread)) for spread in (0.5, 0.6, 0.7))
    config = CodiConfig(objective=objective)  # type: ignore[arg-type]
    x = _x()
    models = stubs.models(student, target, teacher)
    loss, parts = OBJECTIVES[objective](models, TABLES, stubs.sample(x), drawn(x, TS), config)
    loss.backward()
    assert student.shift.grad is not None and student.shift.grad != 0
    assert target.shift.grad is None and teacher.shift.grad is None
    assert all(torch.isfinite(part) for part in parts.values())


@pytest.mark.parametrize("width", [5, 3])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_a_batch_has_the_mean_of_its_samples_losses(objective: str, width: int) -> None:
    """Weights [B] are of samples: a batch as wide as it is large (5) would hide it if they were of columns."""
    config = CodiConfig(objective=objective)  # type: ignore[arg-type]
    x = _x(width=width)
    whole = drawn(x, TS)

    def loss(part: slice) -> float:
        models = stubs.models(*(Stub(gaussian(spread)) for spread in (0.5, 0.6, 0.7)))
        one = replace(whole, t=whole.t[part], s=whole.s[part], eps=whole.eps[part], scale=whole.scale[part])
        return OBJECTIVES[objective](models, TABLES, stubs.sample(x[part]), one, config)[0].item()

    alone = [loss(slice(index, index + 1)) for index in range(len(x))]
    assert max(alone) > 1.1 * min(alone)
    assert loss(slice(None)) == pytest.approx(sum(alone) / len(alone), rel=1e-5)


def test_denoising_draws_every_timestep_and_the_others_the_grid() -> None:
    x, rng = torch.zeros(50_000, 1, 1, 1), torch.Generator().manual_seed(0)
    every = draw(x, objectives.grid(CodiConfig(objective="denoise")), rng).t
    assert set(every.tolist()) == set(range(1000))
    for objective in ("codi", "gd", "cm"):
        config = CodiConfig(objective=objective)  # type: ignore[arg-type]
        assert objectives.grid(config) is config


def test_who_follows_the_flow_is_sampled_with_ddim() -> None:
    named = {name: objectives.sampler(CodiConfig(objective=name)) for name in OBJECTIVES}  # type: ignore[arg-type]
    assert named == {"codi": "prev", "denoise": "ddim", "gd": "ddim", "cm": "prev"}
