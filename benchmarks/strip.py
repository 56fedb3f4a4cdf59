"""The README's picture: photos chosen by rule, and the worst result of all, at one screen pixel per photo pixel.

python benchmarks/strip.py sr-2step sr-4step --data photos -o strip.jpg

Rows: the middle crop of the first six photos by name, then the crop where the last bundle is farthest from the original
(perceptual distance). Columns: bicubic, each bundle, original. Nothing is picked by eye.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import codi_export
from distill.data import degrade
from distill.data.pictures import Pixels
from distill.evaluate import Tile, bicubic, cut_folder
from distill.judges import HedVgg, perceptual_features
from distill.metrics import perceptual_distance

PHOTOS = 6
PANEL = 160  # the middle of a tile
LINE = 20  # height of a line of text
BYTES = 400_000

Column = tuple[str, Callable[[Tile], Pixels]]


def first_photos(tiles: Sequence[Tile]) -> list[Tile]:
    """The middle tile of each of the first photos."""
    by_photo = [list(group) for _, group in groupby(tiles, key=lambda tile: tile.photo)]
    return [group[len(group) // 2] for group in by_photo[:PHOTOS]]


def worst(tiles: Sequence[Tile], upscale: Callable[[Tile], Pixels]) -> Tile:
    """The tile whose result is perceptually farthest from the original."""
    network = HedVgg()

    def distance(tile: Tile) -> float:
        pair = (perceptual_features(network, pixels) for pixels in (upscale(tile), tile.pixels))
        return perceptual_distance(*pair).item()

    return max(tiles, key=distance)


def strip(rows: Sequence[tuple[str, Tile]], columns: Sequence[Column]) -> Image.Image:
    """A line of column names, then for each row a line with its name and its panels."""
    sheet = Image.new("RGB", (len(columns) * PANEL, LINE + len(rows) * (LINE + PANEL)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, (heading, _) in enumerate(columns):
        draw.text(((i + 0.5) * PANEL, LINE / 2), heading, fill="black", font=font, anchor="mm")
    for j, (name, tile) in enumerate(rows):
        top = LINE + j * (LINE + PANEL)
        draw.text((4, top + LINE / 2), name, fill="black", font=font, anchor="lm")
        for i, (_, render) in enumerate(columns):
            sheet.paste(_middle(render(tile)), (i * PANEL, top + LINE))
    return sheet


def _middle(pixels: Pixels) -> Image.Image:
    top, left = ((side - PANEL) // 2 for side in pixels.shape[:2])
    return Image.fromarray(pixels[top : top + PANEL, left : left + PANEL])


def save(sheet: Image.Image, output: Path) -> None:
    """As JPEG, at the highest quality that keeps the file small enough for a README."""
    for quality in range(95, 45, -5):
        sheet.save(output, "JPEG", quality=quality)
        if output.stat().st_size <= BYTES:
            return


def _ours(bundle: Path, seed: int) -> Column:
    session = codi_export.load(bundle)
    return f"{session.graph.steps} steps", lambda tile: session(_low(tile), seed)


def _low(tile: Tile) -> Pixels:
    return degrade.bicubic(tile.pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", help="super-resolution bundles, one column each")
    parser.add_argument("--data", type=Path, required=True, help="folder of photos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    ours = [_ours(bundle, options.seed) for bundle in options.bundles]
    columns = [("bicubic x4", lambda tile: bicubic(_low(tile))), *ours, ("original", lambda tile: tile.pixels)]
    tiles = cut_folder(options.data)
    farthest = worst(tiles, ours[-1][1])
    rows = [(tile.photo, tile) for tile in first_photos(tiles)] + [
        (f"worst of {len(tiles)}: {farthest.photo}", farthest)
    ]
    save(strip(rows, columns), options.output)
    print(f"{options.output}: {', '.join(name for name, _ in rows)}")


if __name__ == "__main__":
    main()
