"""The host kernels as a shared library: compiled on first use, kept, and called through ctypes. No torch.

`CODI_KERNELS` names a library that CMake built (kernels/README.md) instead, with CUDA kernels in it or without.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.ops.records import Record

# Without contraction of a*b + c, a result is the same on every processor, however wide its vectors.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fopenmp",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
)


def sources() -> Path:
    """The folder `kernels`: beside the package in a wheel's data, beside `codi_export` in a checkout."""
    package = Path(__file__).parents[1]
    return next(folder for folder in (package / "kernels", package.parent / "kernels") if folder.is_dir())


def call(record: Record, side: str = "host", stream: int | None = None) -> None:
    """Run `record.op` on "host" or "cuda".

    Raises ValueError with the kernel's own words if it refuses, CodiError if the library is not for that side.
    """
    library = load()
    function = getattr(library, f"codi_{record.op}_{side}", None)
    if function is None:
        raise CodiError(
            ErrorCode.BACKEND,
            f"{record.op}: {library._name} has no {side} kernels",
            "build them with CMake where there is a CUDA compiler, and set CODI_KERNELS to the library",
        )
    arguments = (ctypes.byref(record),) if side == "host" else (ctypes.byref(record), ctypes.c_void_p(stream))
    if function(*arguments):
        library.codi_kernels_message.restype = ctypes.c_char_p
        raise ValueError(library.codi_kernels_message().decode())


@functools.cache
def load() -> ctypes.CDLL:
    """The library. Raises CodiError if there is no compiler, or it fails."""
    return ctypes.CDLL(os.environ.get("CODI_KERNELS") or str(build()))


def build() -> Path:
    """Compile the host kernels, unless these sources were compiled for this processor before."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE,
            "the host kernels are compiled on first use, and there is no C++ compiler",
            "install g++, or set CODI_KERNELS to a library that CMake built",
        )
    folder = sources()
    units = [folder / "common/message.cpp", *sorted(folder.glob("*/host.cpp"))]
    kept = files.user_cache() / "kernels" / f"codi_kernels-{_key(compiler, folder)}.so"
    if not kept.exists():
        _compile([compiler, *FLAGS, *map(str, units)], kept)
    return kept


def _compile(command: list[str], kept: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        made = Path(scratch, "library.so")
        result = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True)
        if result.returncode:
            raise CodiError(ErrorCode.BACKEND, f"the host kernels do not compile:\n{result.stderr}", " ".join(command))
        made.replace(kept)  # in one move: another process may be doing the same


def _key(compiler: str, folder: Path) -> str:
    """Of the sources, the flags, the compiler and the processor that `-march=native` means."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".h", ".cpp")):
        digest.update(path.read_bytes())
    target = subprocess.run([compiler, "-march=native", "-Q", "--help=target"], capture_output=True).stdout
    digest.update(target or platform.processor().encode())
    return digest.hexdigest()[:16]
