"""codi.h through ctypes, as a program in another language would call it."""

import ctypes
from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_float,
    c_int,
    c_int32,
    c_size_t,
    c_uint64,
    c_void_p,
)
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

STATUS = (
    *("ok", "bad-argument", "unknown-name", "missing-file", "missing-library", "bad-bundle", "hash-mismatch"),
    *("newer-schema", "no-engine", "backend", "out-of-memory", "cancelled", "bug"),
)
FORMATS = {"RGB": 0, "BGR": 1, "RGBA": 2, "BGRA": 3, "GRAY": 4, "NV12": 5}
FIXES = {"none": 0, "wavelet": 1, "adain": 2}
PROGRESS = CFUNCTYPE(c_int, c_void_p, c_int32, c_int32)


class Image(Structure):
    _fields_ = [("data", c_void_p), ("width", c_int32), ("height", c_int32), ("pitch", c_size_t), ("format", c_int)]


class Options(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("task", c_char_p),
        ("steps", c_int32),
        ("backend", c_char_p),
        ("provider", c_char_p),
        ("library", c_char_p),
        ("threads", c_int32),
        ("device", c_int32),
        ("check", c_int),
        ("stream", c_void_p),
        ("max_memory", c_size_t),
    ]


class RunOptions(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("seed", c_uint64),
        ("color_fix", c_int),
        ("mask", POINTER(Image)),
        ("prompt_embeds", c_void_p),
        ("prompt_embeds_count", c_size_t),
        ("adapter_scale", c_float),
        ("progress", PROGRESS),
        ("user", c_void_p),
        ("pooled_prompt_embeds", c_void_p),
        ("pooled_prompt_embeds_count", c_size_t),
    ]


class Info(Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tile_width", c_int32),
        ("tile_height", c_int32),
        ("batch", c_int32),
        ("scale", c_int32),
        ("steps", c_int32),
        ("noise_shape", c_int32 * 4),
        ("prompt_shape", c_int32 * 2),
        ("takes_mask", c_int32),
        ("takes_adapter_scale", c_int32),
        ("pooled_prompt_size", c_int32),
    ]


class Tensor(Structure):
    _fields_ = [("name", c_char_p), ("data", c_void_p), ("bytes", c_size_t)]


class Failed(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.code = STATUS[status]


class Library:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.c = ctypes.CDLL(str(folder / "codi/libcodi.so"))
        for name in ("codi_last_error", "codi_inspect", "codi_version"):
            getattr(self.c, name).restype = c_char_p
        for name in ("codi_options_init", "codi_run_options_init", "codi_info_init"):
            getattr(self.c, name).argtypes = (c_void_p, ctypes.c_size_t)
            getattr(self.c, name).restype = None

    def check(self, status: int) -> None:
        if status:
            raise Failed(status, self.c.codi_last_error().decode())

    def load(self, bundle: Path, **options: Any) -> "Session":
        given = Options()
        self.c.codi_options_init(ctypes.byref(given), ctypes.sizeof(given))
        for name, value in options.items():
            setattr(given, name, str(value).encode() if isinstance(value, str | Path) else value)
        handle = c_void_p()
        self.check(self.c.codi_load(str(bundle).encode(), ctypes.byref(given), ctypes.byref(handle)))
        return Session(self, handle)


class Session:
    def __init__(self, library: Library, handle: c_void_p) -> None:
        self._library, self._handle = library, handle

    def __del__(self) -> None:
        self._library.c.codi_free(self._handle)

    @property
    def info(self) -> Info:
        info = Info()
        self._library.c.codi_info_init(ctypes.byref(info), ctypes.sizeof(info))
        self._library.check(self._library.c.codi_get_info(self._handle, ctypes.byref(info)))
        return info

    def inspect(self) -> str:
        return bytes(self._library.c.codi_inspect(self._handle)).decode()

    def __call__(
        self,
        pixels: Pixels,
        seed: int = 0,
        fix: str = "none",
        form: str = "RGB",
        out: str = "RGB",
        gap: int = 0,
        mask: Pixels | None = None,
        prompt: NDArray[np.float32] | None = None,
        pooled: NDArray[np.float32] | None = None,
        adapter_scale: float = 1.0,
        progress: Any = None,
    ) -> Pixels:
        """`pixels` [H, W, channels of `form`] to [H', W', channels of `out`]; rows lie `gap` bytes apart."""
        height, width = (size * self.info.scale for size in pixels.shape[:2])
        large = np.zeros((height, width, len(out)), np.uint8)
        held_in, held_out = _with_gap(pixels, gap), _with_gap(large, gap)
        options = RunOptions()
        self._library.c.codi_run_options_init(ctypes.byref(options), ctypes.sizeof(options))
        options.seed, options.color_fix, options.adapter_scale = seed, FIXES[fix], adapter_scale
        if mask is not None:
            held_mask = _with_gap(mask, gap)
            options.mask = ctypes.pointer(_image(held_mask, mask, "GRAY"))
        if prompt is not None:
            options.prompt_embeds, options.prompt_embeds_count = prompt.ctypes.data, prompt.size
        if pooled is not None:
            options.pooled_prompt_embeds, options.pooled_prompt_embeds_count = pooled.ctypes.data, pooled.size
        if progress is not None:
            options.progress = PROGRESS(progress)
        source, target = _image(held_in, pixels, form), _image(held_out, large, out)
        run = self._library.c.codi_run
        self._library.check(run(self._handle, ctypes.byref(source), ctypes.byref(target), ctypes.byref(options)))
        return np.ascontiguousarray(held_out[:, : width * len(out)]).reshape(large.shape)

    def run_tensors(self, tensors: dict[str, NDArray[Any]], memory: int = 0) -> None:
        given = [Tensor(name.encode(), array.ctypes.data, array.nbytes) for name, array in tensors.items()]
        run = self._library.c.codi_run_tensors
        self._library.check(run(self._handle, (Tensor * len(given))(*given), c_size_t(len(given)), memory))

    def noise(self, seed: int) -> NDArray[np.float32]:
        noise = np.empty(tuple(self.info.noise_shape), np.float32)
        make = self._library.c.codi_make_noise
        self._library.check(make(self._handle, c_uint64(seed), c_void_p(noise.ctypes.data), c_size_t(noise.size)))
        return noise


def _with_gap(pixels: Pixels, gap: int) -> Pixels:
    """[H, W * channels + gap], the gap filled with what would show if it were read."""
    rows = pixels.reshape(pixels.shape[0], -1)
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, gap)), constant_values=77))


def _image(held: Pixels, pixels: Pixels, form: str) -> Image:
    return Image(held.ctypes.data, pixels.shape[1], pixels.shape[0], held.shape[1], FORMATS[form])
