"""Image files to uint8 RGB arrays and back."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from codi_export import files
from codi_export.errors import CodiError, ErrorCode

Pixels = NDArray[np.uint8]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}  # what can be written
READABLE = {*FORMATS, ".bmp", ".gif", ".tif", ".tiff"}  # what is taken from a folder; a file named by itself may be any
_OPTIONS = {"PNG": {}, "JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95}}
_SIXTEEN_BITS = {"I", "I;16", "I;16L", "I;16B", "I;16N"}


@dataclass(frozen=True, slots=True)
class Picture:
    """RGB `pixels` uint8 [H, W, 3], upright; `alpha` uint8 [H, W] or None; `profile` is the ICC profile of the pixels.

    `notices` say, one short line each, what reading changed.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    profile: bytes | None = None
    notices: tuple[str, ...] = ()


def read(path: Path) -> Picture:
    """Read what Pillow reads: EXIF orientation is applied, 16 bits become 8, any colour space RGB.

    Raises CodiError (missing-file, bad-image) that names the file.
    """
    with _reading(path):
        return decode(path.read_bytes())


def write(path: Path, picture: Picture) -> tuple[str, ...]:
    """Write PNG, JPEG or WebP, by the suffix, in one move; returns notices.

    JPEG has no alpha: the picture is laid on white. Raises CodiError (bad-option, write-failed).
    """
    kind, image = format_of(path), Image.fromarray(picture.pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    flat = kind == "JPEG" and picture.alpha is not None
    try:
        files.write(path, _encode(_on_white(image) if flat else image, kind, picture.profile))
    except (OSError, ValueError) as error:  # each format has its own largest size
        message = f"cannot write {path}: {kind} cannot hold {image.width} x {image.height}: {error}"
        raise CodiError(ErrorCode.WRITE_FAILED, message, "write a .png") from error
    return ("JPEG has no transparency: laid on white",) if flat else ()


def _encode(image: Image.Image, kind: str, profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, icc_profile=profile, **_OPTIONS[kind])
    return buffer.getvalue()


def format_of(path: Path) -> str:
    """The format that a file name asks for. Raises CodiError (bad-option) that lists the known suffixes."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise CodiError(
            ErrorCode.BAD_OPTION, f"cannot write {path}: unknown suffix '{suffix}'", f"known: {', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def resize_bicubic(pixels: Pixels, height: int, width: int) -> Pixels:
    """Pillow's bicubic (a = -0.5, antialiased when it shrinks) of uint8 [H, W] or [H, W, 3]."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Pillow's decoders raise almost anything on bad bytes: all of it is one line about this file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except FileNotFoundError as error:
        raise CodiError(ErrorCode.MISSING_FILE, f"no such file: {path}", "check the path") from error
    except (PermissionError, IsADirectoryError) as error:
        raise CodiError(ErrorCode.MISSING_FILE, f"cannot read {path}: {error.strerror}", "") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"more than {(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million pixels"
        raise CodiError(ErrorCode.BAD_IMAGE, f"{path} has {limit}", "cut it into smaller pictures") from error
    except UnidentifiedImageError as error:
        raise CodiError(
            ErrorCode.BAD_IMAGE, f"{path} is not an image that Pillow reads", "convert it to PNG, JPEG or WebP"
        ) from error
    except Exception as error:
        raise CodiError(
            ErrorCode.BAD_IMAGE, f"{path} is damaged or unsupported: {error}", "open and save it anew"
        ) from error


def decode(data: bytes) -> Picture:
    """The picture in a file's bytes. Raises what Pillow raises on bad ones (almost anything), and ValueError."""
    if not data:
        raise ValueError("the file is empty")
    image = Image.open(io.BytesIO(data))
    notices = _frames(image)
    if image.mode in _SIXTEEN_BITS or _rawmode(image).endswith((";16B", ";16L")):
        return _from_sixteen_bits(data, image, notices)
    if image.mode == "F":
        raise ValueError("its pixels are floats; expected 8 or 16 bits")
    if image.mode == "CMYK":
        notices += ("CMYK read as RGB without its colour profile",)
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA", "P") else None
    upright = ImageOps.exif_transpose(image)
    return _picture(np.asarray(upright.convert("RGBA" if _has_alpha(upright) else "RGB")), profile, notices)


def _picture(pixels: Pixels, profile: bytes | None, notices: tuple[str, ...]) -> Picture:
    alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(pixels[..., :3]), alpha, profile, notices)


def _frames(image: Image.Image) -> tuple[str, ...]:
    count = getattr(image, "n_frames", 1)
    if count == 1 or image.format == "MPO":  # a camera's JPEG with its preview as second frame
        return ()
    return (f"{count} frames or pages: the first is read",)


def _has_alpha(image: Image.Image) -> bool:
    return "A" in image.mode.upper().replace("LAB", "") or "transparency" in image.info


def _from_sixteen_bits(data: bytes, image: Image.Image, notices: tuple[str, ...]) -> Picture:
    """v / 257, rounded: 0 stays 0 and 65535 becomes 255."""
    if image.mode in _SIXTEEN_BITS:
        levels = np.asarray(ImageOps.exif_transpose(image)).astype(np.int64)[..., None].repeat(3, axis=2)
    else:
        levels = _both_bytes(data, image)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError("its pixels have 32 bits; expected 8 or 16")
    pixels = ((levels + 128) // 257).astype(np.uint8)
    return _picture(pixels, image.info.get("icc_profile"), (*notices, "16 bits a channel read as 8"))


def _both_bytes(data: bytes, image: Image.Image) -> NDArray[np.int64]:
    """Pillow keeps only the high byte of 16-bit colour; read as if the bytes were swapped, it keeps the low one."""
    rawmode = _rawmode(image)
    if not rawmode.startswith(image.mode):
        raise ValueError("it is grey with transparency in 16 bits; save it in 8 bits or without transparency")
    swapped = Image.open(io.BytesIO(data))
    order = rawmode[:-1] + ("L" if rawmode.endswith("B") else "B")
    swapped.tile = [(*tile[:3], _with_rawmode(tile[3], order)) for tile in swapped.tile]  # type: ignore[misc]
    high, low = (np.asarray(ImageOps.exif_transpose(each)).astype(np.int64) for each in (image, swapped))
    return high * 256 + low


def _rawmode(image: Image.Image) -> str:
    """The layout of the samples in the file, such as RGB;16B; empty if the format does not say."""
    tiles = getattr(image, "tile", [])
    args = tiles[0][3] if tiles else ""
    return args if isinstance(args, str) else next((str(a) for a in args or () if isinstance(a, str)), "")


def _with_rawmode(args: object, rawmode: str) -> object:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode


def _on_white(image: Image.Image) -> Image.Image:
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
