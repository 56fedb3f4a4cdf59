"""The plan's memory is what ONNX Runtime takes, within 15 %."""

from pathlib import Path

import pytest

import codi_export
from benchmarks.memory import measure
from tests import tiny

pytestmark = pytest.mark.slow

CLOSE = 0.15  # what a user who plans by it can bear; Python and the libraries alone are 60 MB


def test_of_the_embedded_model(tmp_path: Path) -> None:
    codi_export.build("sr", (1, 4), tmp_path / "sr")
    rows = measure(tmp_path / "sr")
    assert len(rows) == 2
    assert all(abs(row["error"]) <= CLOSE for row in rows), rows


def test_of_a_graph_with_the_shape_of_stable_diffusion(tmp_path: Path) -> None:
    """Four levels and an 8x KL VAE at half of SD 1.5's width: 1.6 GB of weights."""
    model = tiny.sd15_shaped(tmp_path / "model", width=160)
    adapter = tiny.plain_controlnet(tmp_path / "adapter", model, (16, 32, 96, 256))
    codi_export.build("canny", 2, tmp_path / "canny", model=str(model), adapter=str(adapter), height=256, width=256)
    (row,) = measure(tmp_path / "canny")
    assert abs(row["error"]) <= CLOSE, row
