"""A picture file's bytes to RGB pixels, or why not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from codi_export.runtime import image

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB

ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and its values that swap height and width


class Unusable(Exception):
    """Why a picture is not trained on: `kind`, by which pictures are counted, and what is this one's own."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.detail = kind, detail


def decode(content: bytes) -> Pixels:
    """Read as `codi-export run` reads: upright, 16 bits v as v / 257, any colour space as RGB. Alpha is laid on white.

    Raises Unusable for what Pillow cannot read, and for pixels that have 32 bits.
    """
    with _reading():
        picture = image.decode(content)
    return picture.pixels if picture.alpha is None else _on_white(picture.pixels, picture.alpha)


def extent(stream: IO[bytes]) -> tuple[int, int]:
    """(height, width) of the upright picture, from its header alone. Raises Unusable."""
    with _reading(), Image.open(stream) as header:
        width, height = header.size
        # Asked without need, a PNG would be decoded to its end in search of the tag.
        lying = "exif" in header.info and header.getexif().get(ORIENTATION) in LYING
    return (width, height) if lying else (height, width)


@contextmanager
def _reading() -> Iterator[None]:
    """Pillow's decoders raise almost anything on bad bytes."""
    try:
        yield
    except UnidentifiedImageError:  # its message is the address of a buffer
        raise Unusable("unreadable", "not a picture that Pillow reads") from None
    except Exception as error:
        raise Unusable("unreadable", str(error) or type(error).__name__) from error


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    share = alpha[..., None].astype(np.uint16)
    laid: Pixels = ((pixels * share + 255 * (255 - share) + 127) // 255).astype(np.uint8)
    return laid
