"""Records check themselves when they are made."""

import dataclasses

import pytest

from codi_export.errors import CodiError
from codi_export.spec import (
    BuildSpec,
    Schedule,
    Step,
)


@pytest.mark.parametrize("steps", [(0,), (5,), (2, 2), ()])
def test_steps_are_one_to_four_and_distinct(steps: tuple[int, ...]) -> None:
    with pytest.raises(CodiError, match="--steps"):
        BuildSpec(task="sr", steps=steps)


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"height": -1}, {"width": -1}])
def test_sizes_are_checked(option: dict[str, int]) -> None:
    with pytest.raises(CodiError, match="expected"):
        dataclasses.replace(BuildSpec(task="sr", steps=(1,)), **option)


@pytest.mark.parametrize("timesteps", [[], [1, 2], [2, 2]])
def test_a_schedule_falls_strictly(timesteps: list[int]) -> None:
    with pytest.raises(CodiError):
        Schedule(tuple(Step(t, 0.6, 0.8) for t in timesteps), "epsilon")


def test_the_length_of_a_schedule_counts_denoiser_calls() -> None:
    assert len(Schedule((Step(999, 0.0, 1.0), Step(239, 0.8, 0.6)), "epsilon")) == 2
