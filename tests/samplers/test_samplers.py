"""Both update rules on denoisers whose answers are known (codi-method 7.3)."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from codi_export import registry, schedule
from codi_export.samplers import Sampler
from codi_export.spec import AdapterSpec, Step

SAMPLERS = [registry.get("samplers", name) for name in registry.names("samplers")]
numbers = st.floats(-3, 3)
angles = st.floats(0.02, math.pi / 2)  # alpha = cos, sigma = sin; noise-free steps never are `now`


def at(angle: float, t: int = 0) -> Step:
    return Step(t, math.cos(angle), math.sin(angle))


def update(sampler: Sampler, now: Step, then: Step, x: float, z: float, noise: float) -> float:
    mix = sampler.update(now, then)
    return mix.x * x + mix.z * z + mix.noise * noise


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda one: one.name)
@given(now=angles, then=angles, x=numbers, noise=numbers)
def test_the_true_image_leads_along_the_true_path(
    sampler: Sampler, now: float, then: float, x: float, noise: float
) -> None:
    """x_hat = x: the next latent is alpha x + sigma noise, whatever the rule."""
    a, b = at(now), at(then)
    made = update(sampler, a, b, x, a.alpha * x + a.sigma * noise, noise)
    assert made == pytest.approx(b.alpha * x + b.sigma * noise, abs=1e-12)


@given(now=angles, then=angles, x=numbers, wrong=numbers, noise=numbers)
def test_how_an_error_is_passed_on(now: float, then: float, x: float, wrong: float, noise: float) -> None:
    """prev: alpha' (x_hat - x); ddim: (alpha' - sigma' alpha / sigma)(x_hat - x) (7.3, 3)."""
    a, b = at(now), at(then)
    z, truth = a.alpha * x + a.sigma * noise, b.alpha * x + b.sigma * noise
    passed = {"prev": b.alpha, "ddim": b.alpha - b.sigma * a.alpha / a.sigma}
    for sampler in SAMPLERS:
        found = update(sampler, a, b, wrong, z, noise) - truth
        assert found == pytest.approx(passed[sampler.name] * (wrong - x), abs=1e-9)  # 1 / sigma is up to 50


@given(now=angles, then=angles, x=numbers, noise=numbers)
def test_ddim_is_a_rotation(now: float, then: float, x: float, noise: float) -> None:
    """z' = cos(d) z + sin(d) v with d the difference of the angles and v = alpha eps - sigma x (7.3, 5), d < 0."""
    a, b = at(now), at(then)
    z, v = a.alpha * x + a.sigma * noise, a.alpha * noise - a.sigma * x
    turned = math.cos(then - now) * z + math.sin(then - now) * v
    ddim = registry.get("samplers", "ddim")
    assert update(ddim, a, b, x, z, noise) == pytest.approx(turned, abs=1e-9)


@given(then=angles, x=numbers, noise=numbers)
def test_from_pure_noise_both_agree(then: float, x: float, noise: float) -> None:
    """At alpha = 0 the latent is the noise, so that the noise it implies is the noise it began with."""
    pure = Step(999, 0.0, 1.0)
    made = [update(sampler, pure, at(then), x, noise, noise) for sampler in SAMPLERS]
    assert made[0] == pytest.approx(made[1], abs=1e-12)


@given(spread=st.floats(0.2, 3), z=numbers)
def test_ddim_follows_the_flow_of_a_gaussian(spread: float, z: float) -> None:
    """Data N(0, spread^2): x_hat is known, and so is where the flow ends: z sqrt(var(t') / var(t))."""
    assume(abs(z) > 1e-3)
    path = np.linspace(1.55, 0.02, 4000)
    ddim = registry.get("samplers", "ddim")

    def variance(step: Step) -> float:
        return (step.alpha * spread) ** 2 + step.sigma**2

    end = z
    for now, then in zip(map(at, path), map(at, path[1:]), strict=False):
        end = update(ddim, now, then, now.alpha * spread**2 / variance(now) * end, end, z)
    exact = z * math.sqrt(variance(at(path[-1])) / variance(at(path[0])))
    assert end == pytest.approx(exact, rel=5e-3)  # Euler: the error falls as 1 / 4000, times the flow's curvature


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda one: one.name)
@given(x=numbers, noise=numbers)
def test_a_denoiser_that_knows_the_image_returns_it(sampler: Sampler, steps: int, x: float, noise: float) -> None:
    """v = (alpha z - x) / sigma implies x_hat = x for every z, so every N and rule ends in x (7.3, 8)."""
    ts = schedule.grid_timesteps(steps, AdapterSpec("sr"))
    angle = [t / 1000 * 1.5 + 0.01 for t in range(1000)]
    plan = schedule.make(ts, list(map(math.cos, angle)), list(map(math.sin, angle)), "v_prediction").steps
    z, x_hat = noise, math.nan
    for index, now in enumerate(plan):
        v = (now.alpha * z - x) / now.sigma
        x_hat = now.alpha * z - now.sigma * v
        if index + 1 < len(plan):
            z = update(sampler, now, plan[index + 1], x_hat, z, noise)
    assert x_hat == pytest.approx(x, abs=1e-12)
