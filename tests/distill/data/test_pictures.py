from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codi_export.errors import CodiError, ErrorCode
from distill.config import DataConfig
from distill.data import crops, pictures
from distill.data.pictures import Reading
from tests.distill.conftest import encoded, picture, write_shard

DISK = Reading(cache="disk")


def test_a_folder_gives_pictures_with_captions_and_names_what_it_skips(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = pictures.load(pack, "photos/train")
    assert [photo.name for photo in photos] == [f"{seed}.png" for seed in range(10)]
    assert photos[3].caption == "a photo of thing 3"
    assert photos[3].pixels.shape == (200, 190, 3)
    said = capsys.readouterr().err
    assert "1 of 11 pictures were skipped:\n  1 unreadable: broken.jpg (not a picture that Pillow reads)" in said


def test_a_shard_gives_scenes(pack: Path) -> None:
    scenes = pictures.load(pack, "scenes/train-*.tar")
    assert [(scene.name, scene.caption) for scene in scenes][1] == ("train-0000/0001", "a scene 1")


def test_names_can_be_left_out(pack: Path) -> None:
    kept = pictures.load(pack, "photos/train", Reading(exclude=("1*", "broken*", "[2-5].png")))
    assert [photo.name for photo in kept] == ["0.png", "6.png", "7.png", "8.png", "9.png"]


@pytest.mark.parametrize(
    ("folder", "pattern", "message"),
    [
        ("gone", "photos", "no such folder: .*gone"),
        ("", "photos/*", "nothing is called .*photos/[*]"),
        ("", "empty", "no usable picture in .*empty; it is empty"),
        ("", "broken", "1 were skipped: 1 unreadable: a.png"),
    ],
)
def test_nothing_usable_is_an_error_of_its_own(tmp_path: Path, folder: str, pattern: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"")
    with pytest.raises(CodiError, match=message) as raised:
        pictures.load(tmp_path / folder, pattern)
    assert raised.value.code is ErrorCode.BAD_DATA


def test_too_small_is_what_the_smallest_crop_would_have_to_enlarge(
    pack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = pictures.reading(DataConfig(crops=(256, 100), shares=(0.5, 0.5), scale=(0.25, 0.5)))
    assert reading.smallest == 200
    for cache in ("memory", "disk"):
        with pytest.raises(CodiError, match=r"10 smaller than 200 pixels on a side: 0.png .200 x 190., "):
            pictures.load(pack, "photos/train", replace(reading, cache=cache))


def test_the_split_depends_on_names_alone(pack: Path) -> None:
    photos = pictures.load(pack, "photos/train")
    train, held_out = pictures.split(photos, 3)
    again, held_out_again = pictures.split(photos[::-1], 3)
    assert {p.name for p in held_out} == {p.name for p in held_out_again}
    assert {p.name for p in train} | {p.name for p in held_out} == {p.name for p in photos}
    assert len(train) == len(again) == 7


Pools = tuple[list[pictures.Picture], list[pictures.Picture], list[pictures.Picture]]


@pytest.fixture(scope="module")
def caches(pack: Path) -> list[Pools]:
    """Photos, scenes and held-out photos of the pack, in memory and on disk."""
    pools = []
    for reading in (Reading(), DISK):
        photos, scenes = (pictures.load(pack, name, reading) for name in ("photos/train", "scenes/*.tar"))
        train, held_out = pictures.split(photos, 3)
        pools.append((train, scenes, pictures.to_validate(held_out, 176)))
    return pools


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)  # each decodes four pictures
def test_both_caches_give_the_same_batches(caches: list[Pools], seed: int) -> None:
    rngs = [np.random.default_rng(seed) for _ in caches]
    memory, disk = (
        [crops.crop([crops.choose(photos, scenes, 0.5, rng).pixels], 32, rng)[0] for _ in range(4)]
        for (photos, scenes, _), rng in zip(caches, rngs, strict=True)
    )
    np.testing.assert_array_equal(memory, disk)


def test_both_caches_validate_on_the_same(caches: list[Pools]) -> None:
    memory, disk = ([p.pixels for p in held_out] for _, _, held_out in caches)
    np.testing.assert_array_equal(memory, disk)


def test_on_disk_nothing_is_decoded_before_it_is_drawn(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "decode", lambda content: 1 / 0)
    for pattern in ("photos/train", "scenes/*.tar"):
        pool = pictures.load(pack, pattern, DISK)
        with pytest.raises(ZeroDivisionError):
            pictures.draw(pool, 0)


def test_a_picture_that_goes_bad_is_named_once_and_its_neighbour_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        picture(seed, 24, 20).save(tmp_path / f"{seed}.png")
    cut = (tmp_path / "1.png").read_bytes()[:200]
    (tmp_path / "1.png").write_bytes(cut)  # its header is whole
    pool = pictures.load(tmp_path, ".", DISK)
    assert [pictures.draw(pool, index).name for index in (0, 1, 1, 2)] == ["0.png", "2.png", "2.png", "2.png"]
    assert capsys.readouterr().err.count("1.png is left out from now on (unreadable") == 1
    (tmp_path / "2.png").unlink()
    assert pictures.draw(pool, 1).name == "0.png"
    assert "2.png is left out from now on" in (said := capsys.readouterr().err) and "2 so far" in said
    (tmp_path / "0.png").unlink()
    with pytest.raises(CodiError, match="no picture can be read any more"):
        pictures.draw(pool, 1)


def test_a_shard_that_is_cut_short_while_training_does_not_end_it(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "s.tar", {f"{seed}.png": encoded(seed, "PNG") for seed in range(3)})
    pool = pictures.load(tmp_path, "s.tar", DISK)
    shard.write_bytes(shard.read_bytes()[:3000])
    assert pictures.draw(pool, 2).name == "s/0"


def test_what_is_too_small_to_validate_on_is_told(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, scenes = pictures.load(pack, "photos/train"), pictures.load(pack, "scenes/*.tar", DISK)
    capsys.readouterr()
    assert pictures.to_validate(scenes[:2] + photos[:1], 176)[0].name == "0.png"
    assert "train-0000/0000 is left out from now on (smaller than 176 pixels" in capsys.readouterr().err
    with pytest.raises(CodiError, match="none of the 2 held-out pictures"):
        pictures.to_validate(scenes[:2], 176)
