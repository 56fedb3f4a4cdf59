import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from distill.data.decode import Unusable, decode, extent
from tests.distill.conftest import picture


def content(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@given(st.integers(0, 255), st.integers(0, 255))
def test_alpha_is_laid_on_white(level: int, alpha: int) -> None:
    pixel = decode(content(Image.new("RGBA", (1, 1), (level, 0, 255, alpha))))[0, 0]
    exact = [(value * alpha + 255 * (255 - alpha)) / 255 for value in (level, 0, 255)]
    assert np.abs(pixel - exact).max() <= 0.5


@given(st.integers(0, 65535))
def test_16_bits_keep_their_share_of_the_range(value: int) -> None:
    depth = Image.fromarray(np.full((2, 3), value, np.uint16))
    assert np.abs(decode(content(depth)) - value / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_colour_space_of_png_becomes_rgb(mode: str) -> None:
    pixels = decode(content(picture(0, 6, 5).convert(mode)))
    assert pixels.shape == (6, 5, 3) and pixels.dtype == np.uint8


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_header_tells_the_upright_extent(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = content(picture(0, 6, 5), kind, exif=exif)
    assert extent(io.BytesIO(file)) == decode(file).shape[:2] == ((5, 6) if orientation > 4 else (6, 5))


@given(st.binary(max_size=64) | st.integers(0, 400).map(lambda cut: content(picture(0, 40, 40))[:cut]))
def test_bad_bytes_are_unusable_and_nothing_else(bad: bytes) -> None:
    with pytest.raises(Unusable) as raised:
        decode(bad)
    assert raised.value.kind == "unreadable" and "0x" not in raised.value.detail


def test_floats_are_unusable() -> None:
    with pytest.raises(Unusable, match="floats"):
        decode(content(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"))
