"""The bounds of a build at Stable Diffusion 1.5's size."""

import json
from pathlib import Path

import pytest

from benchmarks import build_cost, sd15

RESULT = Path(__file__).parents[2] / "benchmarks/results/cpu/build_cost.json"


def test_what_is_published_keeps_the_bounds() -> None:
    report = json.loads(RESULT.read_text())
    assert report["shape"] == "sd15"
    assert {row["steps"] for row in report["rows"]} == {1, 2, 4}
    require_bounds(report)
    assert "bound" in build_cost.table(report)


def test_weights_are_random_and_repeat() -> None:
    one, two = (sd15.random("unet.conv.weight", (3, 2, 1, 1)).numpy() for _ in range(2))
    assert (one == two).all()
    assert one.std() > 0
    assert (sd15.random("norm.weight", (4,)).numpy() == 1).all()
    assert not sd15.random("norm.bias", (4,)).numpy().any()


@pytest.mark.slow
def test_a_build_at_true_size_keeps_the_bounds(tmp_path: Path) -> None:
    require_bounds(build_cost.measure("sd15", tmp_path, [1, 4], 128, []))


def require_bounds(report: dict[str, object]) -> None:
    rows, bound = report["rows"], report["bound_bytes"]
    assert isinstance(rows, list)
    for row in rows:
        assert row["peak_writing_bytes"] <= bound
        assert row["size_beside_first"] <= 1.02
        assert row["parity_db"] >= 60
    assert len(rows[-1]["reused"]) == 3, "another number of steps traces nothing"
