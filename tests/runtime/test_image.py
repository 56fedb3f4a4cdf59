"""Whatever a camera or an editor writes becomes uint8 RGB, or one clear error."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import image
from codi_export.runtime.image import Picture, read, write

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = np.random.default_rng(1).integers(0, 256, (5, 7), np.uint8)


def png(levels: np.ndarray[Any, np.dtype[np.uint16]]) -> bytes:
    """A 16-bit PNG [H, W, C] of 1 to 4 channels, which Pillow reads but does not write."""
    h, w, c = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2, 4: 6}[c], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def saved(path: Path, mode: str, **options: Any) -> Path:
    Image.fromarray(RGB).convert(mode).save(path, **options)
    return path


# Reading


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.bmp", "a.tif"])
def test_lossless_files_are_read_exactly(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    picture = read(saved(tmp_path / name, "RGB", **options))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert (picture.alpha, picture.notices) == (None, ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = Image.fromarray(np.arange(40 * 24, dtype=np.uint32).astype(np.uint8).reshape(40, 24)).convert("RGB")
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that a camera made
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png").pixels, np.asarray(upright))


@pytest.mark.parametrize("mode", ["L", "1", "P", "YCbCr", "LAB"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    suffix = {"YCbCr": "jpg", "LAB": "tif"}.get(mode, "png")
    path = saved(tmp_path / f"a.{suffix}", mode)
    picture = read(path)
    assert picture.pixels.shape == RGB.shape
    assert picture.alpha is None
    if mode in ("L", "1"):
        np.testing.assert_array_equal(picture.pixels[..., 0], picture.pixels[..., 2])


def test_cmyk_is_converted_and_said(tmp_path: Path) -> None:
    picture = read(saved(tmp_path / "a.tif", "CMYK"))
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.notices == ("CMYK read as RGB without its colour profile",)


def test_alpha_is_returned_beside_the_colours(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([RGB, ALPHA])).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.pixels, RGB)
    np.testing.assert_array_equal(picture.alpha, ALPHA)


def test_a_transparent_palette_entry_becomes_alpha(tmp_path: Path) -> None:
    small = Image.new("P", (2, 1))
    small.putpalette([255, 0, 0, 0, 255, 0])
    small.putpixel((1, 0), 1)
    small.save(tmp_path / "a.png", transparency=1)
    picture = read(tmp_path / "a.png")
    assert picture.pixels.tolist() == [[[255, 0, 0], [0, 255, 0]]]
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_divided_by_257_and_rounded(tmp_path: Path, channels: int) -> None:
    levels = np.linspace(0, 65535, 12 * 11 * channels).astype(np.uint16).reshape(12, 11, channels)
    (tmp_path / "a.png").write_bytes(png(levels))
    picture = read(tmp_path / "a.png")
    expected = np.rint(levels / 257.0).astype(np.uint8)
    np.testing.assert_array_equal(picture.pixels, np.broadcast_to(expected[..., :3], (12, 11, 3)))
    if channels == 4:
        np.testing.assert_array_equal(picture.alpha, expected[..., 3])
    assert picture.notices == ("16 bits a channel read as 8",)


def test_sixteen_bit_tiff(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").pixels[0, :, 0].tolist() == [0, 0, 1, 255]


def test_sixteen_bit_grey_with_alpha_is_refused_clearly(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(np.zeros((2, 2, 2), np.uint16)))
    with pytest.raises(CodiError, match=r"a\.png .*grey with transparency in 16 bits"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize(("pixels", "words"), [(np.float32(0.5), "floats"), (np.int32(1 << 20), "32 bits")])
def test_deeper_pixels_are_refused_clearly(tmp_path: Path, pixels: Any, words: str) -> None:
    Image.fromarray(np.full((2, 2), pixels)).save(tmp_path / "a.tif")
    with pytest.raises(CodiError, match=words):
        read(tmp_path / "a.tif")


def test_the_first_frame_is_read_and_said(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "green")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    picture = read(tmp_path / "a.webp")
    assert picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert picture.notices == ("3 frames or pages: the first is read",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text", "is not an image that Pillow reads"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not an image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "damaged|not an image"),
    ],
)
def test_what_is_not_an_image_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(CodiError, match=words) as caught:
        read(tmp_path / "a.png")
    assert caught.value.code is ErrorCode.BAD_IMAGE
    assert str(tmp_path / "a.png") in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.tif", "a.bmp"])
def test_a_cut_file_is_refused(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / name
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CodiError) as caught:
        read(path)
    assert caught.value.code is ErrorCode.BAD_IMAGE


def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
    with pytest.raises(CodiError, match="million pixels"):
        read(saved(tmp_path / "a.png", "RGB"))  # 35 pixels: a warning of Pillow's
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(CodiError, match="million pixels"):
        read(saved(tmp_path / "a.png", "RGB"))  # and here an error


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.png", "no such file"), (tmp_path, "cannot read")):
        with pytest.raises(CodiError, match=words) as caught:
            read(path)
        assert caught.value.code is ErrorCode.MISSING_FILE


# Writing


@pytest.mark.parametrize("name", ["a.png", "a.PNG"])
def test_png_keeps_pixels_alpha_and_profile(tmp_path: Path, name: str) -> None:
    assert write(tmp_path / name, Picture(RGB, ALPHA, profile=b"a profile")) == ()
    picture = read(tmp_path / name)
    np.testing.assert_array_equal(picture.pixels, RGB)
    np.testing.assert_array_equal(picture.alpha, ALPHA)
    assert picture.profile == b"a profile"


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp"])
def test_lossy_formats_stay_close_and_repeat_their_bytes(tmp_path: Path, name: str) -> None:
    smooth = np.linspace(0, 255, 32 * 32 * 3).astype(np.uint8).reshape(32, 32, 3)
    write(tmp_path / name, Picture(smooth))
    first = (tmp_path / name).read_bytes()
    write(tmp_path / name, Picture(smooth))
    assert (tmp_path / name).read_bytes() == first
    assert np.abs(read(tmp_path / name).pixels.astype(int) - smooth).max() < 16


def test_webp_keeps_alpha(tmp_path: Path) -> None:
    write(tmp_path / "a.webp", Picture(RGB, ALPHA))
    np.testing.assert_array_equal(read(tmp_path / "a.webp").alpha, ALPHA)


def test_jpeg_is_laid_on_white_and_says_so(tmp_path: Path) -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    notices = write(tmp_path / "a.jpg", Picture(black, np.zeros((8, 8), np.uint8)))
    assert notices == ("JPEG has no transparency: laid on white",)
    assert read(tmp_path / "a.jpg").pixels.min() == 255


def test_an_unknown_suffix_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"unknown suffix '\.xyz'") as caught:
        write(tmp_path / "a.xyz", Picture(RGB))
    assert caught.value.hint == "known: .png, .jpg, .jpeg, .webp"


def test_a_size_that_the_format_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="WEBP cannot hold 16384 x 1") as caught:
        write(tmp_path / "a.webp", Picture(np.zeros((1, 16384, 3), np.uint8)))
    assert caught.value.hint == "write a .png"
    assert list(tmp_path.iterdir()) == []


def test_bicubic_keeps_constants_and_takes_grey() -> None:
    assert set(image.resize_bicubic(np.full((3, 4), 77, np.uint8), 9, 10).ravel()) == {77}
    assert image.resize_bicubic(RGB, 10, 14).shape == (10, 14, 3)
