"""A floor is met only if the whole interval of the ratio is below its limit."""

import numpy as np

from benchmarks import arms, speed_floor


def times(ms: float, spread: float, seed: int) -> list[float]:
    return (ms * np.random.default_rng(seed).uniform(1 - spread, 1 + spread, 30)).tolist()


def test_a_ratio_below_its_limit_is_met_and_one_around_it_is_not() -> None:
    samples = {arms.OURS: times(88, 0.01, 0), "torch": times(100, 0.01, 1), "components": times(85.5, 0.05, 2)}
    found = {(floor.arm, floor.other): floor for floor in speed_floor.floors("mini, 2 steps", samples)}
    assert set(found) == {(arms.OURS, "torch"), (arms.OURS, "components")}, "only arms that were run"
    to_torch, to_components = found[arms.OURS, "torch"], found[arms.OURS, "components"]
    assert to_torch.met and to_torch.low < 0.88 < to_torch.high <= 0.9
    assert not to_components.met and to_components.low < 1.03 < to_components.high


def test_every_floor_names_arms_that_exist() -> None:
    known = {arms.OURS, *arms.KNOWN}
    assert all({arm, other} <= known for arm, other, _ in speed_floor.LIMITS)
    assert set(speed_floor.AGAINST) <= known
