"""The quality table: candidates that make pictures from conditions, each compared with the originals.

Every photo has one vote: crops are averaged within their photo first, and intervals resample photos.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.image import resize_bicubic

from . import metrics
from .data.conditions import Maker
from .data.pictures import Pixels, Reading, load
from .data.samples import PLAIN
from .judges import HedVgg, MobileNetV2, kid_features, perceptual_features
from .metrics import Floats

SCALE = 4
TILE = 256
KID_CROP = 128
KID_CROPS = 400  # at least; equally many of each photo

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Tile:
    """A square piece of a photo, with the same piece of what the data brings with it. `reflected`: the photo is
    smaller, and mirrored at its edges."""

    photo: str
    pixels: Pixels
    reflected: bool
    condition: Pixels | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to be judged. It `reads` the condition, the condition and the caption, or the original (a round trip
    through the VAE)."""

    name: str
    steps: int | None
    run: Callable[..., Pixels]
    reads: Literal["input", "input and caption", "original"] = "input"


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate's figures. `draws[metric]` holds the value first, then its bootstrap samples over photos."""

    name: str
    steps: int | None
    tiles: int
    latency_ms: float
    draws: dict[str, Floats]


def bicubic(low: Pixels) -> Pixels:
    """Four times as wide and high."""
    return resize_bicubic(low, SCALE * low.shape[0], SCALE * low.shape[1])


def telea(seen: Pixels) -> Pixels:
    """What the mask marks is filled in from its edge (Telea 2004, as in OpenCV)."""
    filled = cv2.inpaint(np.ascontiguousarray(seen[..., :3]), seen[..., 3].copy(), 3, cv2.INPAINT_TELEA)
    return np.asarray(filled, np.uint8)


def untouched(seen: Pixels) -> Pixels:
    """The condition itself: a map, or the picture before an edit."""
    return seen


BICUBIC = Candidate("bicubic", None, bicubic)
BASELINES = {"sr": BICUBIC, "inpaint": Candidate("Telea", None, telea)}  # what every other candidate has to beat
UNTOUCHED = Candidate("the condition itself", None, untouched)


def cut(name: str, photo: Pixels, size: int = TILE, condition: Pixels | None = None, caption: str = "") -> list[Tile]:
    """Every whole tile of a photo, centred; one tile across a side that is shorter than a tile."""
    short = [max(size - side, 0) for side in photo.shape[:2]]
    gaps = [(gap // 2, gap - gap // 2) for gap in short] + [(0, 0)]
    pixels = np.pad(photo, gaps, mode="reflect")
    brought = None if condition is None else np.pad(condition, gaps, mode="reflect")
    tops, lefts = (range(side % size // 2, side - size + 1, size) for side in pixels.shape[:2])
    places = [(slice(y, y + size), slice(x, x + size)) for y in tops for x in lefts]
    return [Tile(name, pixels[at], any(short), None if brought is None else brought[at], caption) for at in places]


def cut_folder(folder: Path, size: int = TILE, reading: Reading = PLAIN) -> list[Tile]:
    """The tiles of every photo of a folder or a shard, in the order of names."""
    folder = folder.resolve()  # "." has no name
    photos = load(folder.parent, folder.name, reading)
    return [tile for p in photos for tile in cut(p.name, p.pixels, size, p.condition, p.caption)]


def conditions(tiles: Sequence[Tile], make: Maker, seed: int) -> list[Pixels]:
    """One condition for each tile; a tile's randomness is its own, whatever the others draw."""
    rngs = (np.random.default_rng((seed, i)) for i in range(len(tiles)))
    return [make(tile.pixels, tile.condition, rng) for tile, rng in zip(tiles, rngs, strict=True)]


def evaluate(candidates: Sequence[Candidate], tiles: Sequence[Tile], make: Maker, seed: int = 0) -> list[Row]:
    """Judge candidates on tiles. Tables compare each row with the first, so let that be the baseline."""
    inputs = conditions(tiles, make, seed)
    originals = np.stack([tile.pixels for tile in tiles])
    photos = np.unique([tile.photo for tile in tiles], return_inverse=True)[1]

    runs = [_run(candidate, tiles, inputs) for candidate in candidates]
    outputs = [pictures for pictures, _ in runs]
    distances = _perceptual_distances(outputs, originals)
    terms = _kid_terms(outputs, originals, photos, seed)

    weights = metrics.photo_weights(photos.max() + 1, seed)
    rows = []
    for i, candidate in enumerate(candidates):
        values = {**_pixel_metrics(outputs[i], originals), "perceptual": distances[i]}
        draws = {metric: metrics.mean_draws(_by_photo(value, photos), weights) for metric, value in values.items()}
        draws["kid"] = metrics.kid_draws(terms[i], weights)
        rows.append(Row(candidate.name, candidate.steps, len(tiles), runs[i][1], draws))
    return rows


def _run(candidate: Candidate, tiles: Sequence[Tile], inputs: Sequence[Pixels]) -> tuple[Pixels, float]:
    """All outputs and the median milliseconds of a call; the first call warms up and is repeated."""
    sources = [given(candidate, *pair) for pair in zip(tiles, inputs, strict=True)]
    candidate.run(*sources[0])
    outputs, seconds = [], []
    for source in tqdm(sources, candidate.name, leave=False, disable=None):
        start = time.perf_counter()
        outputs.append(candidate.run(*source))
        seconds.append(time.perf_counter() - start)
    shapes, wanted = {output.shape for output in outputs}, tiles[0].pixels.shape
    if shapes != {wanted}:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"{candidate.name} makes pictures of {sorted(shapes)} from {inputs[0].shape}, expected {wanted}",
            "every candidate of a table does the same task",
        )
    return np.stack(outputs), 1e3 * float(np.median(seconds))


def given(candidate: Candidate, tile: Tile, seen: Pixels) -> tuple[Pixels] | tuple[Pixels, str]:
    """What a candidate reads of a tile and its condition."""
    match candidate.reads:
        case "input":
            return (seen,)
        case "input and caption":
            return seen, tile.caption
        case "original":
            return (tile.pixels,)


def _pixel_metrics(outputs: Pixels, originals: Pixels) -> dict[str, Floats]:
    pairs = list(zip(outputs, originals, strict=True))
    return {
        "psnr_db": np.array([metrics.psnr_db(*pair) for pair in pairs]),
        "ssim": np.array([metrics.ssim(*pair) for pair in pairs]),
        "colour_shift": np.array([metrics.colour_shift(*pair) for pair in pairs]),
        "grid_db": np.array([metrics.grid_db(output) - metrics.grid_db(original) for output, original in pairs]),
        "grid_levels": np.array([metrics.grid_levels(output) for output in outputs]),
    }


def _by_photo(values: Floats, photos: Indices) -> Floats:
    """Means of the tiles of each photo.  # [tiles, ...] -> [photos, ...]"""
    return np.stack([values[photos == photo].mean(axis=0) for photo in range(photos.max() + 1)])


def _perceptual_distances(outputs: Sequence[Pixels], originals: Pixels) -> Floats:
    """Tile by tile, so that the features of an original serve all candidates.  # [candidates, tiles]"""
    network = HedVgg()
    distances = np.empty((len(outputs), len(originals)))
    for tile, original in enumerate(tqdm(originals, "perceptual distance", leave=False, disable=None)):
        reference = perceptual_features(network, original)
        for i, pictures in enumerate(outputs):
            features = perceptual_features(network, pictures[tile])
            distances[i, tile] = metrics.perceptual_distance(features, reference).item()
    return distances


def _kid_terms(outputs: Sequence[Pixels], originals: Pixels, photos: Indices, seed: int) -> list[Floats]:
    """The terms of KID on random crops, at the same places of every candidate and of the originals."""
    network = MobileNetV2()
    side = min(KID_CROP, originals.shape[1])
    places = _kid_places(photos, originals.shape[1] - side, np.random.default_rng(seed))

    def features(pictures: Pixels) -> Floats:
        return kid_features(network, np.stack([pictures[i, y : y + side, x : x + side] for i, y, x in places]))

    reference = features(originals)
    return [metrics.kid_terms(features(pictures), reference) for pictures in outputs]


def _kid_places(photos: Indices, last: int, rng: np.random.Generator) -> Indices:
    """Tile, top and left (0 to `last`) of random crops, photo by photo.  # [>= KID_CROPS, 3]"""
    count = photos.max() + 1
    each = -(-KID_CROPS // count)
    tiles = np.concatenate([rng.choice(np.flatnonzero(photos == photo), each) for photo in range(count)])
    return np.column_stack([tiles, rng.integers(0, last + 1, (len(tiles), 2))])
