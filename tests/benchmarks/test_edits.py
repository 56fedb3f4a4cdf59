"""What counts as an edit, and how much of it was made."""

import numpy as np
import pytest

from benchmarks import edits
from distill.evaluate import Tile

SOURCE = np.full((8, 8, 3), 100, np.uint8)
EDITED = SOURCE.copy()
EDITED[2:5, 2:5] = 200
TILE = Tile("scene", EDITED, False, SOURCE, "turn the square white")


def test_the_region_is_where_the_scenes_differ() -> None:
    assert edits.region(TILE).sum() == 9 and edits.region(TILE)[3, 3]


def test_the_edit_itself_misses_nothing_and_its_source_all() -> None:
    exact = pytest.approx(20 * np.log10(255 / 0.5))
    assert edits.figures(EDITED, TILE) == (0, exact)
    assert edits.figures(SOURCE, TILE) == (1, exact)


def test_half_an_edit_and_a_brighter_rest() -> None:
    half = SOURCE + np.uint8(10)
    half[2:5, 2:5] = 150
    missing, kept = edits.figures(half, TILE)
    assert missing == pytest.approx(0.5) and kept == pytest.approx(20 * np.log10(25.5))
