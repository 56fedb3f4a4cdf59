import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from codi_export import registry
from codi_export.errors import CodiError
from distill.data import conditions
from distill.data.pictures import Pixels

seeds = st.integers(0, 2**32 - 1)


def smooth(seed: int, side: int = 64) -> Pixels:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def test_every_task_has_conditions_of_its_own_shape() -> None:
    target, brought = smooth(0), smooth(1)
    for name in registry.names("tasks"):
        task = registry.get("tasks", name)
        for make in conditions.makers(name).values():
            seen = make(target, brought, np.random.default_rng(0))
            side = 64 // task.scale
            assert seen.shape == (side, side, task.condition_channels) and seen.dtype == np.uint8


def test_a_task_without_conditions_is_named() -> None:
    with pytest.raises(CodiError, match="unknown task 'dream'"):
        conditions.makers("dream")


@given(seeds)
def test_masks_are_black_and_white_and_leave_the_picture_alone(seed: int) -> None:
    target = smooth(seed % 7)
    seen = conditions.masked(target, None, np.random.default_rng(seed))
    mask = seen[..., 3]
    assert np.array_equal(seen[..., :3], target)
    assert set(np.unique(mask)) <= {0, 255}
    assert 0.02 < (mask == 255).mean() < 0.75


def test_edges_are_where_the_picture_changes() -> None:
    target = np.zeros((32, 32, 3), np.uint8)
    target[:, 16:] = 255
    edges = conditions.canny(target, None, np.random.default_rng(0))
    columns = np.flatnonzero(edges[..., 0].any(axis=0))
    assert edges[:, columns, 0].min() == 255 and set(columns) <= {15, 16}
    assert np.ptp(edges, axis=2).max() == 0


def test_a_sketch_is_dark_lines_on_white() -> None:
    target = np.full((32, 32, 3), 90, np.uint8)
    assert conditions.sketch(target, None, np.random.default_rng(0)).min() == 255
    target[:, 16:] = 200
    lines = conditions.sketch(target, None, np.random.default_rng(0))[..., 0]
    assert lines[:, 13:18].min() < 80 and lines[:, :8].min() == 255 and lines[:, 24:].min() == 255


def test_a_condition_that_the_data_should_bring_is_not_invented() -> None:
    with pytest.raises(CodiError, match="no condition beside it"):
        conditions.given(smooth(0), None, np.random.default_rng(0))
    assert conditions.given(smooth(0), smooth(1), np.random.default_rng(0)) is not None
