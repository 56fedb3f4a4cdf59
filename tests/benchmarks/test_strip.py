from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import strip
from distill.evaluate import Tile


def flat(photo: str, level: int) -> Tile:
    return Tile(photo, np.full((256, 256, 3), level, np.uint8), reflected=False)


def test_photos_are_chosen_by_name_and_crops_by_place() -> None:
    tiles = [flat(f"photo-{i}", level) for i in range(8) for level in (0, 1, 2)]
    chosen = strip.first_photos(tiles)
    assert [tile.photo for tile in chosen] == [f"photo-{i}" for i in range(6)]
    assert {int(tile.pixels[0, 0, 0]) for tile in chosen} == {1}


def test_worst_is_the_farthest_from_its_original() -> None:
    noise = Tile("noise", np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8), reflected=False)
    assert strip.worst([flat("flat", 100), noise], lambda tile: np.full_like(tile.pixels, 100)) is noise


def test_panels_are_in_their_places_and_the_file_is_small(tmp_path: Path) -> None:
    columns = [("dark", lambda tile: tile.pixels // 2), ("original", lambda tile: tile.pixels)]
    sheet = strip.strip([("first", flat("a", 100)), ("second", flat("b", 200))], columns)
    middle = strip.LINE + strip.LINE + strip.PANEL // 2
    below = middle + strip.LINE + strip.PANEL
    places = [(80, middle), (240, middle), (80, below), (240, below)]
    assert [sheet.getpixel(place) for place in places] == [(level,) * 3 for level in (50, 100, 100, 200)]
    strip.save(sheet, tmp_path / "strip.jpg")
    assert (tmp_path / "strip.jpg").stat().st_size <= strip.BYTES
    with Image.open(tmp_path / "strip.jpg") as image:
        assert image.size == sheet.size
