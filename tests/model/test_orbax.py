"""Arrays outside the msgpack file: in zarr folders and in an OCDBT database."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codi_export.errors import CodiError
from codi_export.model import flax_tree, orbax
from tests import flax_files

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[bool], Path]:
    def make(database: bool) -> Path:
        (tmp_path / "checkpoint").write_bytes(flax_files.pack({"a_0": {"kernel": KERNEL, "bias": KERNEL[0].copy()}}))
        flax_files.store_outside(tmp_path, database)
        return tmp_path

    return make


@pytest.mark.parametrize("database", [False, True])
def test_they_are_read(folder: Callable[[bool], Path], database: bool) -> None:
    path = folder(database)
    assert orbax.PLACEHOLDER.encode() in (path / "checkpoint").read_bytes()
    assert (path / "manifest.ocdbt").exists() == database
    read = flax_tree.read(path)
    assert np.array_equal(read["a_0.kernel"], KERNEL)
    assert np.array_equal(read["a_0.bias"], KERNEL[0])


@pytest.mark.parametrize(
    ("database", "file"), [(False, "a_0.kernel/0.0"), (False, "a_0.kernel/.zarray"), (True, "manifest.ocdbt")]
)
@pytest.mark.parametrize("gone", [False, True])
def test_damage_is_an_error_and_never_zeros(
    folder: Callable[[bool], Path], database: bool, file: str, gone: bool
) -> None:
    path = folder(database) / file
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CodiError, match=r"a_0\.kernel: "):
        flax_tree.read(path.parent if database else path.parent.parent)
