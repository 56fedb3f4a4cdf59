import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from distill import evaluate, metrics, table
from distill.data.conditions import bicubic, degraded, masked
from distill.evaluate import BICUBIC, Candidate, Tile


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.array(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("b-small", (200, 264)), ("a-large", (256, 520))):
        Image.fromarray(photo(*size)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture
def rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[evaluate.Row]:
    monkeypatch.setattr(evaluate, "KID_CROPS", 16)
    original = Candidate("original", None, lambda pixels: pixels, reads="original")
    return evaluate.evaluate([BICUBIC, original], evaluate.cut_folder(folder), bicubic)


@pytest.mark.parametrize(
    ("size", "count", "reflected"),
    [
        ((256, 256), 1, False),
        ((511, 511), 1, False),
        ((512, 768), 6, False),
        ((180, 320), 1, True),
        ((100, 520), 2, True),
    ],
)
def test_tiles_do_not_overlap_and_short_sides_are_reflected(size: tuple[int, int], count: int, reflected: bool) -> None:
    tiles = evaluate.cut("x", photo(*size))
    assert len(tiles) == count
    assert {tile.reflected for tile in tiles} == {reflected}
    assert {tile.pixels.shape for tile in tiles} == {(256, 256, 3)}


def test_tiles_are_the_middle_of_the_photo() -> None:
    pixels = photo(260, 520)
    left, right = evaluate.cut("x", pixels, condition=255 - pixels)
    assert left.condition is not None and np.array_equal(left.condition, 255 - left.pixels)
    np.testing.assert_array_equal(np.hstack([left.pixels, right.pixels]), pixels[2:258, 4:516])


def test_folder_is_read_in_the_order_of_names(folder: Path) -> None:
    tiles = evaluate.cut_folder(folder)
    assert [(tile.photo, tile.reflected) for tile in tiles] == [("a-large.png", False)] * 2 + [("b-small.png", True)]


def test_original_is_perfect_and_clearly_better_than_bicubic(rows: list[evaluate.Row]) -> None:
    bicubic, original = ({metric: draws[0] for metric, draws in row.draws.items()} for row in rows)
    assert original["psnr_db"] == metrics.EXACT_DB
    assert original["ssim"] == pytest.approx(1)
    assert original["perceptual"] == original["grid_db"] == 0
    assert original["kid"] == pytest.approx(0, abs=1e-6)
    assert bicubic["kid"] > 1
    assert table.table(rows).splitlines()[-1].count("▲") == 4
    json.dumps(table.as_json({"bicubic": rows}, seed=0, threads=2), allow_nan=False)


def test_degraded_inputs_follow_the_seed(folder: Path) -> None:
    tiles = evaluate.cut_folder(folder)
    first, second, other = (evaluate.conditions(tiles, degraded, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert all((x != y).any() for x, y in zip(first, other, strict=True))


def test_current_folder_can_be_given_as_a_dot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert len(evaluate.cut_folder(Path())) == 3


def test_wrong_output_size_names_the_candidate() -> None:
    tile = Tile("x", photo(256, 256), reflected=False)
    with pytest.raises(CodiError, match=r"too small makes pictures of \[\(64, 64, 3\)\]") as caught:
        evaluate.evaluate([Candidate("too small", None, lambda low: low)], [tile], bicubic)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_a_caption_goes_to_who_reads_it() -> None:
    told: list[str] = []

    def run(seen: np.ndarray, caption: str) -> np.ndarray:
        told.append(caption)
        return evaluate.bicubic(seen)

    tiles = evaluate.cut("x", photo(256, 256), caption="make it night")
    evaluate._run(Candidate("editor", 1, run, "input and caption"), tiles, evaluate.conditions(tiles, bicubic, 0))
    assert set(told) == {"make it night"}


def test_a_hole_is_filled_from_its_edge() -> None:
    pixels = photo(64, 64)
    seen = masked(pixels, None, np.random.default_rng(0))
    filled = evaluate.telea(seen)
    outside = seen[..., 3] == 0
    assert np.array_equal(filled[outside], pixels[outside])
    hole = np.where(seen[..., 3:] > 0, 0, pixels)
    assert np.abs(filled.astype(int) - pixels).mean() < 0.5 * np.abs(hole.astype(int) - pixels).mean()
