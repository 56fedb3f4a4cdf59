import numpy as np
import pytest

from distill import table
from distill.evaluate import Row, Tile


def row(name: str, steps: int | None, **values: float) -> Row:
    """A row of two photos with one bootstrap sample of each kind around the value."""
    figures = {
        "psnr_db": 30.0,
        "ssim": 0.8,
        "perceptual": 0.1,
        "kid": 300.0,
        "grid_db": 0.0,
        "grid_levels": 0.2,
    } | values
    draws = {metric: np.array([value, value - 0.01, value, value + 0.01]) for metric, value in figures.items()}
    return Row(name, steps, 84, 12.3, draws | {"colour_shift": np.array([[0.1, -0.2, 3.0]] * 4)})


def test_marks_say_which_differences_are_certain() -> None:
    lines = table.table([row("bicubic", None), row("sr", 2, psnr_db=29, perceptual=0.05)]).splitlines()
    assert lines[2] == "| bicubic | – | 30.00 | 0.800 | 0.100 | 300 | +0.1 -0.2 +3.0 | +0.0 | 0.20 | 12 |"
    assert lines[3] == "| sr | 2 | 29.00 ▼ | 0.800 | 0.050 ▲ | 300 | +0.1 -0.2 +3.0 | +0.0 | 0.20 | 12 |"


def test_json_has_the_stable_keys() -> None:
    document = table.as_json(
        {"bicubic": [row("bicubic", None)], "degraded": [row("bicubic", None), row("sr", 4, kid=7)]}, seed=5, threads=2
    )
    assert [(r["degradation"], r["name"], r["steps"]) for r in document["rows"]] == [
        ("bicubic", "bicubic", None),
        ("degraded", "bicubic", None),
        ("degraded", "sr", 4),
    ]
    stable = {"name", "steps", "psnr_db", "ssim", "perceptual", "kid", "latency_ms", "n"}
    assert all(stable <= r.keys() for r in document["rows"])
    assert document["rows"][2]["difference"]["kid"] == pytest.approx((-293, -293))
    assert document["metrics"].keys() == {"perceptual", "kid"}
    assert (
        document["seed"] == 5 and document["threads"] == 2 and document["processor"] and document["packages"]["torch"]
    )


def test_caption_counts_and_names_reflected_photos() -> None:
    pixels = np.zeros((256, 256, 3), np.uint8)
    text = table.caption([Tile("a", pixels, False), Tile("a", pixels, False), Tile("b", pixels, True)], threads=2)
    assert "The originals' own grid levels: 0.00" in text
    assert text.startswith("3 crops of 2 photos; mirrored at their edges because they are smaller than a crop: b.")
