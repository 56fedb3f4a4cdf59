"""How much of an edit a bundle of `edit` makes, and what else it changes, on scenes with exact edits.

python -m benchmarks.edits edit-1step edit-2step --data scenes/eval-0000.tar -o edits.json

Inside: where original and edited scene differ by more than THRESHOLD levels. There, the share of the change that is
missing: the root mean square error to the edited scene, divided by the original's own; giving the original back is 1.
Outside: PSNR to the original, in dB. Means over scenes, with 95 % intervals by bootstrap.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codi_export import machine
from distill import candidates, metrics
from distill.data.pictures import Pixels
from distill.evaluate import UNTOUCHED, Candidate, Tile, cut_folder, given
from distill.metrics import Floats

THRESHOLD = 24  # levels: above what lossy compression leaves in the two pictures
LEAST = 0.005  # of the picture: smaller edits say more of compression than of the bundle


def region(tile: Tile) -> Pixels:
    """Where the edit is.  # bool [H, W]"""
    source = _source(tile)
    return np.asarray(np.abs(tile.pixels.astype(int) - source).max(axis=2) > THRESHOLD)


def figures(made: Pixels, tile: Tile) -> tuple[float, float]:
    """(share of the change that is missing inside, PSNR to the original outside)."""
    inside, source = region(tile), _source(tile)
    return _rms(made, tile.pixels, inside) / _rms(source, tile.pixels, inside), _psnr(made, source, ~inside)


def _source(tile: Tile) -> Pixels:
    assert tile.condition is not None, "an edit has a picture to start from"
    return tile.condition


def _rms(one: Pixels, other: Pixels, where: Pixels) -> float:
    return float(np.sqrt(np.square(one[where].astype(float) - other[where]).mean()))


def _psnr(one: Pixels, other: Pixels, where: Pixels) -> float:
    return float(20 * np.log10(255 / max(_rms(one, other, where), 0.5)))  # half a level: equal


def row(name: str, steps: int | None, run: Callable[[Tile], Pixels], tiles: list[Tile]) -> dict[str, Any]:
    """Means and intervals of one candidate."""
    missing, kept = np.array([figures(run(tile), tile) for tile in tiles]).T
    return {"name": name, "steps": steps, "missing_inside": _interval(missing), "psnr_outside_db": _interval(kept)}


def _interval(values: Floats) -> list[float]:
    draws = metrics.mean_draws(values, metrics.photo_weights(len(values), seed=0))
    return [round(float(value), 4) for value in (draws[0], *np.quantile(draws[1:], [0.025, 0.975]))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True, help="a shard of scenes with edits")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    task, side, ours = candidates.of_bundles(options.bundles, options.seed)
    every = cut_folder(options.data, side, candidates.reading(task))
    tiles = [tile for tile in every if LEAST < region(tile).mean() < 1]

    def run(candidate: Candidate) -> Callable[[Tile], Pixels]:
        return lambda tile: candidate.run(*given(candidate, tile, _source(tile)))

    rows = [row(one.name, one.steps, run(one), tiles) for one in (UNTOUCHED, *ours)]
    document = {**machine.conditions(), "scenes": len(tiles), "of": len(every), "threshold": THRESHOLD, "rows": rows}
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    for one in rows:
        print(json.dumps(one))


if __name__ == "__main__":
    main()
