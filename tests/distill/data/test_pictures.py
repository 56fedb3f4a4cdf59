from pathlib import Path

import pytest

from codi_export.errors import CodiError, ErrorCode
from distill.data import pictures


def test_a_folder_gives_pictures_with_captions_and_names_what_it_skips(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = pictures.load(pack, "photos/train")
    assert [photo.name for photo in photos] == [f"{seed}.png" for seed in range(10)]
    assert photos[3].caption == "a photo of thing 3"
    assert photos[3].pixels.shape == (200, 190, 3)
    assert "1 of 11 pictures were skipped: broken.jpg" in capsys.readouterr().out


def test_a_shard_gives_scenes(pack: Path) -> None:
    scenes = pictures.load(pack, "scenes/train-*.tar")
    assert [(scene.name, scene.caption) for scene in scenes][1] == ("train-0000/0001", "a scene 1")


def test_names_can_be_left_out(pack: Path) -> None:
    kept = pictures.load(pack, "photos/train", ("1*", "broken*", "[2-5].png"))
    assert [photo.name for photo in kept] == ["0.png", "6.png", "7.png", "8.png", "9.png"]


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CodiError) as raised:
        pictures.load(tmp_path, "photos/train")
    assert raised.value.code is ErrorCode.BAD_DATA


def test_the_split_depends_on_names_alone(pack: Path) -> None:
    photos = pictures.load(pack, "photos/train")
    train, held_out = pictures.split(photos, 3)
    again, held_out_again = pictures.split(photos[::-1], 3)
    assert {p.name for p in held_out} == {p.name for p in held_out_again}
    assert {p.name for p in train} | {p.name for p in held_out} == {p.name for p in photos}
    assert len(train) == len(again) == 7
