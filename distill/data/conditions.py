"""What a task's engine is given, made from the picture that it should give back.

A `Maker` maps (target, the view that the data brings, rng) to a uint8 condition [h, w, 3], or [h, w, 4] with a mask.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from codi_export import registry
from codi_export.errors import CodiError, ErrorCode

from . import degrade
from .pictures import Pixels

Maker = Callable[[Pixels, Pixels | None, np.random.Generator], Pixels]


def makers(task: str) -> dict[str, Maker]:
    """The ways to make a task's condition, by name. Raises CodiError (unknown-name) for a task that has none here."""
    try:
        return MAKERS[task]
    except KeyError:
        registry.get("tasks", task)  # an unknown task is told as such
        raise CodiError(
            ErrorCode.UNKNOWN_NAME, f"no conditions for task '{task}'; there are some for: {', '.join(sorted(MAKERS))}"
        ) from None


def bicubic(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """A quarter of the size."""
    return degrade.bicubic(target)


def degraded(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """A quarter of the size, by Real-ESRGAN's second-order degradation."""
    return degrade.degrade(target, rng)


def canny(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """Canny edges (1986) as OpenCV finds them, white on black; thresholds between fine and coarse."""
    low = rng.uniform(50, 120)
    edges = cv2.Canny(cv2.cvtColor(target, cv2.COLOR_RGB2GRAY), low, low * rng.uniform(1.8, 2.5))
    return _grey(edges.astype(np.uint8))


def given(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """What the data brings: a depth map, the picture before an edit."""
    if brought is None:
        raise CodiError(
            ErrorCode.BAD_DATA,
            "a picture has no condition beside it",
            "[data] condition names the member that holds it; use pictures that have one",
        )
    return brought


def masked(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """The picture and a mask beside it, boxes or brush strokes, that covers a twentieth to a half of it."""
    height, width = target.shape[:2]
    for _ in range(20):
        mask = Image.new("L", (width, height))
        draw = ImageDraw.Draw(mask)
        paint = _boxes if rng.random() < 0.5 else _strokes
        paint(draw, width, height, rng)
        if 0.05 <= np.asarray(mask).mean() / 255 <= 0.5:
            break
    return np.dstack([target, np.asarray(mask)])


def sketch(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
    """A simplified line drawing, black on white: where a difference of two Gaussians falls below a threshold."""
    grey = Image.fromarray(target).convert("L")
    fine, coarse = (np.asarray(grey.filter(ImageFilter.GaussianBlur(r)), np.float32) for r in (1.0, 1.6))
    lines = np.clip(255 + 40 * (fine - coarse + 1.5), 0, 255)
    return _grey(np.rint(lines).astype(np.uint8))


MAKERS: dict[str, dict[str, Maker]] = {
    "sr": {"bicubic": bicubic, "degraded": degraded},
    "canny": {"canny": canny},
    "depth": {"depth": given},
    "inpaint": {"masks": masked},
    "edit": {"source": given},
    "sketch": {"sketch": sketch},
}


def _grey(plane: npt.NDArray[np.uint8]) -> Pixels:
    return np.repeat(plane[..., None], 3, axis=2)


def _boxes(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        w, h = rng.uniform(0.15, 0.6, 2) * (width, height)
        left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
        draw.rectangle((left, top, left + w, top + h), fill=255)


def _strokes(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    """A brush that wanders: free-form masks as in arXiv 1806.03589, section 4.3."""
    side = min(width, height)
    for _ in range(rng.integers(1, 4)):
        place, angle = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        thick = rng.uniform(0.06, 0.18) * side
        for _ in range(rng.integers(3, 9)):
            angle += rng.uniform(-1.2, 1.2)
            end = place + rng.uniform(0.1, 0.35) * side * np.array([np.cos(angle), np.sin(angle)])
            draw.line((*place, *end), fill=255, width=round(thick))
            draw.ellipse((*(end - thick / 2), *(end + thick / 2)), fill=255)
            place = end
