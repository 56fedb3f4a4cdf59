"""Builds one op's kernels, host and CUDA (under the emulator), and calls them with guarded, poisoned memory."""

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from codi_export.ops.records import FLOAT16, FLOAT32, Record

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SIDES = ("host", "cuda")
TYPES = {FLOAT32: np.float32, FLOAT16: np.float16}
GUARD = 64
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


class Kernels:
    """An op's library. `call` answers with its status."""

    sides = SIDES

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.library.codi_kernels_message.restype = ctypes.c_char_p

    def call(self, side: str, record: Record | None, op: str = "") -> int:
        function = getattr(self.library, f"codi_{op or (record and record.op)}_{side}")
        pointer = ctypes.byref(record) if record is not None else None
        status: int = function(pointer) if side == "host" else function(pointer, None)
        return status

    def run(self, side: str, record: Record) -> None:
        status = self.call(side, record)
        assert status == 0, f"{side}: status {status}: {self.message}"

    def shuffle(self, seed: int) -> None:
        """Another order of threads and blocks from here on."""
        self.library.codi_emulator_seed(ctypes.c_uint(seed))

    @property
    def message(self) -> str:
        message: bytes = self.library.codi_kernels_message()
        return message.decode()


def compile_op(op: str, out: Path, kernels: Path = ROOT / "kernels", flags: tuple[str, ...] = ("-O1",)) -> Path:
    """The op's host kernel and its CUDA kernel under the emulator, as one shared library."""
    sources = [kernels / "common/message.cpp", kernels / op / "host.cpp", HERE / "emulator_seed.cpp"]
    emulator = f'-DCODI_EMULATOR="{HERE / "emulator.h"}"'
    fixed = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fopenmp", "-fPIC", "-shared"]
    command = [compiler(), *fixed, "-fvisibility=hidden", emulator, *flags]
    command += [*map(str, sources), "-x", "c++", str(kernels / op / f"{op}.cu"), "-o", str(out)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return out


def compiler() -> str:
    found = shutil.which(os.environ.get("CXX", "c++"))
    assert found, "these tests need a C++ compiler"
    return found


class Memory:
    """An array between two guards, filled with NaN; `offset` bytes past a multiple of 64."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32, offset: int = 0) -> None:
        dtype = np.dtype(dtype)
        self.bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        raw = np.full(self.bytes + 3 * GUARD + offset, 0xA5, np.uint8)
        self.begin = GUARD + (-raw.ctypes.data) % GUARD + offset
        self.address = raw.ctypes.data + self.begin
        self.raw = raw
        self.array: NDArray[Any] = np.ndarray(shape, dtype, raw.data, self.begin)
        self.poison()

    @classmethod
    def of(cls, values: NDArray[Any], offset: int = 0) -> "Memory":
        memory = cls(values.shape, values.dtype, offset)
        memory.array[...] = values
        return memory

    def poison(self) -> None:
        self.raw[self.begin : self.begin + self.bytes] = 0xFF

    def check(self) -> None:
        outside = np.concatenate([self.raw[: self.begin], self.raw[self.begin + self.bytes :]])
        assert (outside == 0xA5).all(), "written outside of the tensor"


@contextlib.contextmanager
def fresh() -> Iterator[np.random.Generator]:
    """Random numbers that no run has had before; a failure says how to have them again."""
    seed = int(os.environ.get("CODI_SEED", secrets.randbits(32)))
    try:
        yield np.random.default_rng(seed)
    except BaseException as error:
        error.add_note(f"again with CODI_SEED={seed}")
        raise


def half_ulp(values: NDArray[np.float64], real: int) -> NDArray[np.float64]:
    """The error of one rounding to the element type, subnormal numbers included."""
    info = np.finfo(TYPES[real])
    magnitude = np.maximum(np.abs(values), float(info.tiny))
    step: NDArray[np.float64] = np.exp2(np.floor(np.log2(magnitude))) * float(info.eps) / 2
    return step


def both(kernels: Kernels) -> Iterator[str]:
    """The sides in turn, with a fresh order of threads for the emulated one."""
    for side in kernels.sides:
        kernels.shuffle(int(np.random.default_rng().integers(2**31)))
        yield side
