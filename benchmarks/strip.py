"""A picture of what bundles of one task make: inputs chosen by rule, and the worst result of all, at one screen pixel
per photo pixel.

python -m benchmarks.strip sr-2step sr-4step --data photos -o strip.jpg

Rows: the middle crop of the first six photos by name, then the crop where the last bundle is farthest from the original
(perceptual distance), of all or of the first --crops. Columns: the condition (for super-resolution enlarged with
bicubic), each bundle, original. Nothing is picked by eye.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from distill import candidates
from distill.data.conditions import makers
from distill.data.pictures import Pixels
from distill.evaluate import BICUBIC, Candidate, Tile, conditions, cut_folder, given
from distill.judges import HedVgg, perceptual_features
from distill.metrics import perceptual_distance

PHOTOS = 6
PANEL = 160  # at most, the middle of a tile
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
    panel = min(PANEL, *rows[0][1].pixels.shape[:2])
    sheet = Image.new("RGB", (len(columns) * panel, LINE + len(rows) * (LINE + panel)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, (heading, _) in enumerate(columns):
        draw.text(((i + 0.5) * panel, LINE / 2), heading, fill="black", font=font, anchor="mm")
    for j, (name, tile) in enumerate(rows):
        top = LINE + j * (LINE + panel)
        draw.text((4, top + LINE / 2), name, fill="black", font=font, anchor="lm")
        for i, (_, render) in enumerate(columns):
            sheet.paste(_middle(render(tile), panel), (i * panel, top + LINE))
    return sheet


def _middle(pixels: Pixels, panel: int) -> Image.Image:
    top, left = ((side - panel) // 2 for side in pixels.shape[:2])
    return Image.fromarray(pixels[top : top + panel, left : left + panel])


def save(sheet: Image.Image, output: Path) -> None:
    """As JPEG, at the highest quality that keeps the file small enough for a README."""
    for quality in range(95, 45, -5):
        sheet.save(output, "JPEG", quality=quality)
        if output.stat().st_size <= BYTES:
            return


def hidden(seen: Pixels) -> Pixels:
    """A condition as its adapter sees it: grey under the mask."""
    return np.where(seen[..., 3:] > 127, np.uint8(128), seen[..., :3]) if seen.shape[2] == 4 else seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", help="bundles of one task, one column for each graph")
    parser.add_argument("--data", type=Path, required=True, help="folder of photos, or a shard")
    parser.add_argument("--crops", type=int, help="look at no more than the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    task, side, ours = candidates.of_bundles(options.bundles, options.seed)
    tiles = cut_folder(options.data, side, candidates.reading(task))[: options.crops]
    name, make = next(iter(makers(task).items()))
    seen = {id(tile): s for tile, s in zip(tiles, conditions(tiles, make, options.seed), strict=True)}
    first = BICUBIC if task == "sr" else Candidate(name, None, hidden)

    def column(candidate: Candidate) -> Callable[[Tile], Pixels]:
        return lambda tile: candidate.run(*given(candidate, tile, seen[id(tile)]))

    columns = [
        (first.name, column(first)),
        *((f"{candidate.steps} steps", column(candidate)) for candidate in ours),
        ("original", lambda tile: tile.pixels),
    ]
    farthest = worst(tiles, column(ours[-1]))
    chosen = [*first_photos(tiles), farthest]
    rows = [(tile.caption if ours[-1].reads == "input and caption" else tile.photo, tile) for tile in chosen]
    rows[-1] = (f"worst of {len(tiles)}: {rows[-1][0]}", farthest)
    save(strip(rows, columns), options.output)
    print(f"{options.output}: {', '.join(name for name, _ in rows)}")


if __name__ == "__main__":
    main()
