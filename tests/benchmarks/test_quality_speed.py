"""The front, and a plot of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import compare, quality_speed
from benchmarks.quality_speed import pareto


def test_the_front_is_what_none_beats() -> None:
    assert pareto([(1, 9), (2, 5), (3, 6), (4, 1), (4, 2)]) == {0, 1, 3}
    assert pareto([(1, 1), (1, 1)]) == {0, 1}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_every_point_is_on_the_front_or_behind_one_that_is(costs: list[tuple[float, float]]) -> None:
    front = pareto(costs)
    assert front
    for index, (x, y) in enumerate(costs):
        assert index in front or any(costs[k][0] <= x and costs[k][1] <= y for k in front)


def test_a_published_quality_file_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quality_speed.main([str(compare.RESULTS / "cpu/quality.json"), "-o", str(tmp_path)])
    value = json.loads((tmp_path / "quality_speed.json").read_text())
    assert set(value["panels"]) == {"bicubic", "degraded"} and value["metrics"]["perceptual"]
    for some in value["panels"].values():
        assert some[0]["front"], "the fastest is on the front"
        assert not any(point["name"] in quality_speed.LEFT_OUT for point in some)
    with Image.open(tmp_path / "quality_speed.png") as picture:
        assert picture.width > picture.height > 300
    assert "| bicubic | bicubic |" in capsys.readouterr().out
