"""Flax checkpoints as flat tables of arrays, read without Flax and without pickle.

Flax writes msgpack: nested maps, whose leaves are extensions of type 1, (shape, dtype name, bytes). It is one file,
also inside the folder that orbax makes; arrays that orbax keeps outside that file are `PLACEHOLDER://` strings in it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import orbax

Floats = NDArray[np.float32]

FILES = ("diffusion_flax_model.msgpack", "flax_model.msgpack", "checkpoint")
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
NDARRAY = 1
DEPTH = 16  # a ControlNet has 8
DTYPES = {b"float32": "<f4", b"float16": "<f2", b"bfloat16": "<u2"}


def read(path: Path) -> dict[str, Floats]:
    """The arrays of a checkpoint file or folder, as float32, by dotted name: `conv_in.kernel` [H, W, in, out].

    Raises CodiError (missing-file, bad-model) for anything else, or where a file is damaged.
    """
    file = _file(path)
    try:
        data = file.read_bytes()
        _refuse_pickle(data, file)
        tree = msgpack.unpackb(data, ext_hook=_array)
        return {".".join(names): _floats(leaf, names, file) for names, leaf in _leaves(tree, ())}
    except (OSError, ValueError, TypeError, msgpack.UnpackException) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file} is damaged, or is no Flax checkpoint: {error}",
            "compare its size and hash with the original's",
        ) from error


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = [path / name for name in FILES if (path / name).is_file()]
    if found:
        return found[0]
    if (path / "_METADATA").is_file():
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{path} is an orbax folder without the file `checkpoint`, a layout that is not read",
            "restore it where it was made, and store it with the Flax model's `save_pretrained`",
        )
    raise CodiError(
        ErrorCode.MISSING_FILE, f"no Flax checkpoint at {path}", f"expected a file, or {' or '.join(FILES)}"
    )


def _refuse_pickle(data: bytes, file: Path) -> None:
    if data.startswith(PICKLES):
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file} is a pickle or a PyTorch archive, which could run code when it is read",
            "expected msgpack, as the Flax model's `save_pretrained` writes it",
        )


def _array(code: int, data: bytes) -> Floats:
    if code != NDARRAY:
        raise ValueError(f"extension type {code}, expected only arrays, {NDARRAY}")
    shape, dtype, values = msgpack.unpackb(data, raw=True)
    if dtype not in DTYPES:
        raise ValueError(f"an array of {dtype!r}, expected {', '.join(name.decode() for name in DTYPES)}")
    array = np.frombuffer(values, DTYPES[dtype]).reshape(shape)
    if dtype == b"bfloat16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def _leaves(tree: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(tree, dict):
        yield names, tree
        return
    if len(names) == DEPTH:
        raise ValueError(f"maps lie more than {DEPTH} deep")
    for name, branch in tree.items():
        if not (isinstance(name, str) and name.isidentifier()):  # orbax makes paths of them
            raise ValueError(f"{name!r} is no parameter's name")
        yield from _leaves(branch, (*names, name))


def _floats(leaf: Any, names: tuple[str, ...], file: Path) -> Floats:
    if isinstance(leaf, np.ndarray):
        return leaf
    if isinstance(leaf, str) and leaf.startswith(orbax.PLACEHOLDER):
        return orbax.read(file.parent, ".".join(names))
    raise ValueError(f"{'.'.join(names) or 'the whole'} is a {type(leaf).__name__}, expected an array")
