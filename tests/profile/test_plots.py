"""PNGs of what a result has figures for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.errors import CodiError
from codi_export.profile.plots import draw
from tests.profile.results import a_result


def test_every_figure_of_a_result(tmp_path: Path) -> None:
    breakdown = a_result().breakdown
    assert breakdown is not None
    inside = dataclasses.replace(breakdown, peak_flops_per_s=2e11, peak_bytes_per_s=1e10)
    readings = tuple(dataclasses.replace(one, rss_bytes=10**8) for one in a_result().readings)
    files = draw([a_result(breakdown=inside, readings=readings)], tmp_path / "plots")
    assert [file.name for file in files] == [
        f"sr-2step-{name}.png" for name in ("latency", "stages", "nodes", "roofline", "memory")
    ]
    for file in files:
        with Image.open(file) as picture:
            assert picture.width > 800 and np.asarray(picture.convert("L")).std() > 5


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    assert draw([a_result(breakdown=None, runs=())], tmp_path) == []


def test_several_results_have_one_comparison(tmp_path: Path) -> None:
    files = draw([a_result(), a_result()], tmp_path)
    assert files[-1].name == "comparison.png" and {file.name[:2] for file in files[:-1]} == {"1-", "2-"}


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(CodiError, match="matplotlib") as caught:
        draw([a_result()], tmp_path)
    assert "codi-export[plots]" in caught.value.hint
