"""Timesteps and their constants: the tables of codi-method 7.2 (SD betas, trailing grid of 50)."""

import pytest
from diffusers import DDPMScheduler

from codi_export import schedule
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import AdapterSpec

TABLE = {
    1: [(999, 0.068265, 0.997667)],
    2: [(999, 0.068265, 0.997667), (499, 0.526944, 0.849900)],
    3: [(999, 0.068265, 0.997667), (659, 0.332004, 0.943278), (319, 0.747336, 0.664446)],
    4: [(999, 0.068265, 0.997667), (739, 0.247624, 0.968856), (499, 0.526944, 0.849900), (239, 0.831715, 0.555202)],
}
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def tables(zero_snr: bool = False) -> tuple[list[float], list[float]]:
    cumulative = DDPMScheduler(**SD, rescale_betas_zero_snr=zero_snr).alphas_cumprod.double()
    return cumulative.sqrt().tolist(), (1 - cumulative).sqrt().tolist()


@pytest.mark.parametrize("steps", TABLE)
def test_the_even_lists_and_their_constants(steps: int) -> None:
    ts = schedule.grid_timesteps(steps, AdapterSpec("sr"))
    made = schedule.make(ts, *tables(), "epsilon")
    assert [step.t for step in made.steps] == [t for t, _, _ in TABLE[steps]]
    for step, (_, alpha, sigma) in zip(made.steps, TABLE[steps], strict=True):
        # The table has six digits; the scheduler multiplies a thousand betas in float32.
        assert (step.alpha, step.sigma) == (pytest.approx(alpha, abs=2e-6), pytest.approx(sigma, abs=2e-6))
        assert step.alpha**2 + step.sigma**2 == pytest.approx(1)


def test_the_adapters_own_list_comes_first() -> None:
    facts = AdapterSpec("sr", timesteps={"2": (999, 239)})
    assert schedule.timesteps(2, facts) == ((999, 239), "")


def test_a_number_of_steps_without_a_list_is_said() -> None:
    ts, warning = schedule.timesteps(4, AdapterSpec("sr", timesteps={"2": (999, 239)}))
    assert ts == (999, 739, 499, 239)
    assert "4 steps" in warning


def test_a_timestep_outside_the_table() -> None:
    with pytest.raises(CodiError, match=r"\[1000\] lie outside the backbone's 0 to 999") as raised:
        schedule.make((1000, 499), *tables(), "epsilon")
    assert raised.value.code is ErrorCode.BAD_MODEL


def test_epsilon_cannot_start_from_pure_noise() -> None:
    with pytest.raises(CodiError, match="alpha is 0 there"):
        schedule.make((999,), *tables(zero_snr=True), "epsilon")
    assert schedule.make((999,), *tables(zero_snr=True), "v_prediction").steps[0].alpha == 0


def test_timesteps_must_fall() -> None:
    with pytest.raises(CodiError, match="must fall strictly"):
        schedule.make((499, 499), *tables(), "epsilon")
