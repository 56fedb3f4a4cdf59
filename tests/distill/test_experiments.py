"""Every experiment file is complete and asks for what there is."""

import pytest

from distill import arms, experiments
from distill.arms import ARMS, LISTS
from distill.experiments import METRICS


@pytest.mark.parametrize("name", experiments.names())
def test_experiments_name_what_exists(name: str) -> None:
    found = experiments.get(name)
    assert found.question.endswith("?") and found.comparisons and set(found.metrics) <= METRICS.keys()
    for entry in found.entries:
        assert entry.list in arms.get(entry.arm).lists, entry
    assert len(set(found.entries)) == len(found.entries)
    for one, other, metric in found.comparisons:
        assert {one, other} <= set(found.entries) and one != other and metric in found.metrics
        assert arms.get(one.arm).task == arms.get(other.arm).task
    assert found.reference is None or found.reference in found.entries


def test_every_arm_is_used() -> None:
    named = [arm for name in experiments.names() for arm in experiments.get(name).arms]
    assert set(arms.with_stages(named)) == set(ARMS)


def test_arms_are_complete() -> None:
    for arm in ARMS.values():
        assert set(arm.lists) <= LISTS.keys()
        assert not arm.after or (arms.get(arm.after).share + arm.share == 1 and arms.get(arm.after).task == arm.task)
        assert arm.lists or any(other.after and ARMS[other.after] is arm for other in ARMS.values())


def test_lists_fall_and_lie_on_the_grid_that_the_adapter_learnt() -> None:
    for name, ts in LISTS.items():
        assert list(ts) == sorted(set(ts), reverse=True) and ts[0] == 999 and len(ts) == int(name.split()[0])
    for arm in ARMS.values():
        if arm.method.objective != "denoise":  # that one learns every timestep
            assert all((t + 1) % arm.method.gap == 0 for name in arm.lists for t in LISTS[name])
