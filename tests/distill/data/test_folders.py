import json
from pathlib import Path

import pytest

from codi_export.errors import CodiError, ErrorCode
from distill.data import pictures
from distill.data.pictures import Reading
from tests.distill.conftest import picture

DEPTH = Reading(condition="depth")


def make(folder: Path, *names: str, height: int = 24, width: int = 20) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed, height, width).save(folder / name)


def listing(folder: Path, *rows: object) -> None:
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_rows_name_images_conditions_and_captions(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "in/b.jpg", "in/b-depth.png", "a-depth.png", "unnamed.png")
    listing(
        tmp_path,
        {"file_name": "a.png", "condition": "a-depth.png", "text": "one"},
        {"image": "in/b.jpg", "depth": "in/b-depth.png", "caption": "two"},
    )
    a, b = pictures.load(tmp_path, ".", DEPTH)
    assert [(p.name, p.caption) for p in (a, b)] == [("a.png", "one"), ("in/b.jpg", "two")]
    assert a.condition is not None and a.condition.shape == a.pixels.shape == (24, 20, 3)


def test_rows_that_cannot_be_used_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "a.png", "depth.png", "b.png")
    rows = [
        {"file_name": "a.png", "condition": "depth.png"},
        {"file_name": "b.png"},
        {"file_name": "gone.png", "condition": "depth.png"},
        {"file_name": "../a.png", "condition": "depth.png"},
        {"file_name": "/etc/a.png", "condition": "depth.png"},
        ["no", "object"],
    ]
    listing(tmp_path, *rows)
    assert [p.name for p in pictures.load(tmp_path, ".", DEPTH)] == ["a.png"]
    said = capsys.readouterr().err
    assert "5 of 6 pictures were skipped" in said
    for line in ("1 without depth: b.png", "1 without image: gone.png", "2 named outside the folder: ../a.png"):
        assert line in said
    assert "1 no row with a file_name: metadata.jsonl:6" in said


def test_subfolders_hold_pairs_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "image/1.png", "image/2.jpg", "image/3.png", "depth/1.png", "depth/2.png", "depth/4.png")
    (tmp_path / "caption").mkdir()
    (tmp_path / "caption" / "1.txt").write_text("one\n")
    (tmp_path / "image" / "2.txt").write_text("two")
    one, two = pictures.load(tmp_path, ".", DEPTH)
    assert [(p.name, p.caption) for p in (one, two)] == [("1.png", "one"), ("2.jpg", "two")]
    said = capsys.readouterr().err
    assert "1 without depth: 3.png" in said and "1 without image: depth/4.png" in said
    assert [p.condition for p in pictures.load(tmp_path, ".")] == [None] * 3


def test_a_condition_of_another_size_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "image/1.png", "image/2.png", "depth/1.png")
    make(tmp_path, "depth/2.png", height=20, width=20)
    for reading in (DEPTH, Reading(condition="depth", cache="disk")):
        assert [p.name for p in pictures.load(tmp_path, ".", reading)] == ["1.png"]
        assert "of different sizes: 2.png (24 x 20 and 20 x 20)" in capsys.readouterr().err


def test_what_lacks_everywhere_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    make(tmp_path, *(f"image/{n:02}.png" for n in range(12)))
    with pytest.raises(CodiError, match=r"12 were skipped: 12 without depth: 00.png, .*, 09.png and 2 more") as raised:
        pictures.load(tmp_path, ".", DEPTH)
    assert raised.value.code is ErrorCode.BAD_DATA
    assert "image and depth in metadata.jsonl or in subfolders" in raised.value.hint


def test_plain_pictures_take_captions_from_a_text_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "a.png", "b.png")
    (tmp_path / "b.txt").write_text("bee")
    assert [p.caption for p in pictures.load(tmp_path, ".")] == ["", "bee"]
    assert "1 of 2 have no caption: a.png" in capsys.readouterr().err
