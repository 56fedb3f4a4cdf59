"""What libcodi does inside, called from Python."""

import ctypes
from ctypes import c_size_t, c_uint32, c_uint64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class Shims:
    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(str(folder / "libshims.so"))

    def noise(self, seed: int, shape: tuple[int, ...], origin: tuple[int, int], image: int = 0) -> NDArray[np.float32]:
        to = np.empty(shape, np.float32)
        self._library.shim_noise(
            c_uint64(seed), _at(np.array(shape, np.int32)), *map(c_uint32, origin), c_uint32(image), _at(to)
        )
        return to

    def plan(self, length: int, tile: int, align: int, scale: int) -> dict[str, NDArray[Any]]:
        most = length + tile + align
        starts, sources = np.zeros(most, np.int32), np.zeros(most, np.int32)
        weights, total = np.zeros((most, tile * scale), np.uint32), np.zeros(most * scale, np.uint32)
        count = self._library.shim_plan(length, tile, align, scale, *map(_at, (starts, sources, weights, total)))
        places = max(tile, -(-length // align) * align)
        return {
            "starts": starts[:count],
            "weights": weights[:count],
            "total": total[: places * scale],
            "sources": sources[:places],
        }

    def blend(self, height: int, width: int, tile: int, align: int, tiles: Pixels) -> Pixels:
        to = np.empty((height, width, 3), np.uint8)
        self._library.shim_blend(height, width, tile, align, _at(tiles), _at(to))
        return to

    def resize(self, pixels: Pixels, height: int, width: int) -> Pixels:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        to = np.empty((height, width, *pixels.shape[2:]), np.uint8)
        self._library.shim_resize(*pixels.shape[:2], height, width, channels, _at(pixels), _at(to))
        return to

    def fix(self, kind: str, picture: Pixels, photo: Pixels) -> Pixels:
        to = picture.copy()
        getattr(self._library, f"shim_{kind}")(*to.shape[:2], *photo.shape[:2], _at(photo), _at(to))
        return to

    def engine(self, bundle: Path, version: str, sm: int) -> tuple[int, str]:
        """(codi_status, the engine's path or what is wrong)."""
        text = ctypes.create_string_buffer(1000)
        folder, size = str(bundle).encode(), c_size_t(len(text))
        return self._library.shim_engine(folder, version.encode(), sm, text, size), text.value.decode()

    def sha256(self, data: bytes, piece: int) -> str:
        text = ctypes.create_string_buffer(64)
        self._library.shim_sha256(data, c_size_t(len(data)), c_size_t(piece), text)
        return text.raw.decode()


def _at(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
