import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import side_by_side


def test_panels_stand_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, after, before, row = (tmp_path / f"{name}.png" for name in ("photo", "after", "before", "row"))
    Image.new("RGB", (10, 6), (200, 0, 0)).save(photo)
    Image.new("RGB", (40, 24), (0, 0, 200)).save(after)
    arguments = ["side_by_side.py", str(photo), str(after), "--before", str(before), "-o", str(row)]
    monkeypatch.setattr(sys, "argv", arguments)
    side_by_side.main()
    with Image.open(before) as picture:
        assert picture.size == (40, 24)
    with Image.open(row) as picture:
        left, right = side_by_side.GAP + 20, 2 * side_by_side.GAP + 60
        assert [picture.getpixel((x, side_by_side.GAP + 12)) for x in (left, right)] == [(200, 0, 0), (0, 0, 200)]
        assert picture.size == (2 * 40 + 3 * side_by_side.GAP, 24 + side_by_side.GAP + side_by_side.LABEL)
