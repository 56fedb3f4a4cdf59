import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from codi_export.errors import CodiError
from distill import chart, checkpoint, history, page
from distill.chart import Axis, Series
from distill.cli import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 400 steps: losses, three validations with grids, a warning, settings."""
    folder = tmp_path / "some-run"
    for step in range(20, 401, 20):
        history.append(folder, {"step": step, "seconds": step / 2, "loss": 1 / step, "guidance": 0.5})
        if step in (200, 400):
            figures = {"drift": 0.3, "chroma": 0.2, "chroma_data": 0.1}
            history.append(folder, {"step": step, "seconds": step / 2, "psnr_bicubic": 20.5, **figures})
    history.append(folder, {"step": 400, "seconds": 200.0, "signature": "a", "warning": "colours > the data's <b>"})
    rng = np.random.default_rng(0)
    for name in ("grid-000200", "grid-000300", "grid"):
        pixels = rng.integers(0, 256, (300, 1100, 3), dtype=np.uint8)  # noise: JPEG's worst case
        Image.fromarray(pixels).save(folder / f"{name}.png")
    checkpoint.save(folder, {"settings": {"method.weight": 0.3}, "weights": torch.ones(3)})
    return folder


class Reader(HTMLParser):
    """Collects tags, attributes that load something, and text; fails on tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_curves_grids_warnings_and_settings(run: Path) -> None:
    html = page.make(run).read_text()
    tags = Reader(html).tags
    assert tags.count("svg") == 2 + 1 + 2  # losses, scores, diagnostics
    for name in ("loss", "guidance", "psnr_bicubic", "drift", "chroma"):
        assert f'aria-label="{name}"' in html
    assert tags.count("img") == 3 and all(f"<b>step {step}</b>" in html for step in (200, 300, 400))
    assert "step 400: colours &gt; the data&#x27;s &lt;b&gt;" in html
    assert "<b>method.weight</b><span>0.3</span>" in html
    assert "some-run" in html and "400 steps, 3 min" in html


def test_the_page_loads_nothing(run: Path) -> None:
    html = page.make(run).read_text()
    assert all(source.startswith("data:image/jpeg;base64,") for source in Reader(html).loads)
    assert not re.search(r"http|url\(|@import|<script|<link", html)


def test_the_page_stays_small_however_many_grids(run: Path) -> None:
    for step in range(1000, 31_000, 1000):
        (run / f"grid-{step:06d}.png").write_bytes((run / "grid.png").read_bytes())
    html = page.make(run).read_text()
    assert Reader(html).tags.count("img") == 33
    assert len(html) < 3_000_000


def test_the_grid_of_an_end_keeps_its_step_when_the_run_goes_on(run: Path) -> None:
    history.append(run, {"step": 600, "seconds": 300.0, "psnr_bicubic": 21.0})
    (run / "grid-000600.png").write_bytes((run / "grid-000300.png").read_bytes())
    assert re.findall(r"<b>step (\d+)</b>", page.make(run).read_text()) == ["200", "300", "400", "600"]


def test_a_value_that_is_not_finite_is_not_drawn(run: Path) -> None:
    history.append(run, {"step": 420, "seconds": 210.0, "loss": float("inf"), "consistency": float("nan")})
    html = page.make(run).read_text()
    assert "nan" not in re.sub(r"base64,[^\"]*", "", html).lower() and 'aria-label="consistency"' not in html


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"holds no log\.jsonl"):
        page.make(tmp_path)


def test_the_command_writes_where_it_is_told(run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["page", str(run), "-o", str(tmp_path / "page.html")])
    assert result.exit_code == 0, result.output
    assert "<svg" in (tmp_path / "page.html").read_text() and not (run / page.NAME).exists()


def test_a_curve_goes_where_its_values_say() -> None:
    svg = chart.draw("a", [Series("line", [(0, 0.0), (50, 1.0), (100, 0.5)])], 100)
    points = re.findall(r'points="(.*?)"', svg)[0].split()
    (x0, low), (x1, high), (x2, middle) = (map(float, point.split(",")) for point in points)
    assert (x0, x2) == (chart.LEFT, chart.WIDTH - chart.RIGHT) and x1 == (x0 + x2) / 2
    assert low > middle > high and middle == pytest.approx((low + high) / 2, abs=0.1)  # SVG counts downwards


def test_ticks_are_round_and_inside() -> None:
    assert Axis(0, 4000, 0, 1).ticks(4) == [0, 1000, 2000, 3000, 4000]
    assert Axis(0.03, 0.4, 0, 1, log=True).ticks(4) == pytest.approx([0.05, 0.1, 0.2])
    assert Axis(0.5, 2000, 0, 1, log=True).ticks(4) == [1, 10, 100, 1000]


def test_smoothing_keeps_a_constant_and_averages_the_rest() -> None:
    assert chart.smooth([(step, 3.0) for step in range(50)]) == [(step, 3.0) for step in range(50)]
    assert chart.smooth([(0, 0.0), (1, 3.0), (2, 0.0)], share=0.7) == [(0, 1.5), (1, 1.0), (2, 1.5)]
    assert len(chart.thin([(step, 0.0) for step in range(100_000)])) <= 2 * chart.MOST_POINTS
