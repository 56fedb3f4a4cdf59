"""Files of Flax, whole and damaged."""

import pickle
from pathlib import Path

import msgpack
import numpy as np
import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import flax_tree
from tests import flax_files

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3) / 8


def test_bytes_that_were_written_by_hand(tmp_path: Path) -> None:
    """{"a": {"bias": float32 [1.5, -2]}}, byte by byte as the msgpack specification has it."""
    array = b"\x93\x91\x02\xa7float32\xc4\x08\x00\x00\xc0\x3f\x00\x00\x00\xc0"
    file = tmp_path / "flax_model.msgpack"
    file.write_bytes(b"\x81\xa1a\x81\xa4bias\xc7" + bytes([len(array)]) + b"\x01" + array)
    (name,) = read = flax_tree.read(file)
    assert (name, read[name].tolist()) == ("a.bias", [1.5, -2.0])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", flax_tree.FILES)
def test_every_float_in_every_folder(name: str, dtype: str, tmp_path: Path) -> None:
    """Eighths below 1 are exact in all three."""
    (tmp_path / name).write_bytes(flax_files.pack({"layer_0": {"kernel": KERNEL}}, dtype))
    read = flax_tree.read(tmp_path)
    assert list(read) == ["layer_0.kernel"]
    assert read["layer_0.kernel"].dtype == np.float32
    assert np.array_equal(read["layer_0.kernel"], KERNEL)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is damaged"),
        (flax_files.pack({"a": KERNEL})[:-1], "incomplete input"),
        (flax_files.pack({"a": KERNEL}) + b"\0", "extra data"),
        (flax_files.pack({"a": 1}), "a is a int, expected an array"),
        (flax_files.pack([KERNEL]), "the whole is a list, expected an array"),
        (flax_files.pack({"a": KERNEL}, "float64"), "an array of b'float64', expected float32, float16, bfloat16"),
        (flax_files.pack({"../a": KERNEL}), "'../a' is no parameter's name"),
        (msgpack.packb({1: 2}), "int is not allowed for map key"),
        (msgpack.packb({"a": msgpack.ExtType(2, b"x")}), "extension type 2"),
        (msgpack.packb({"a": msgpack.ExtType(1, msgpack.packb([[3], "float32", b"1234"]))}), "reshape"),
        (msgpack.packb({"a": "PLACEHOLDER://a"}), "a: "),
        (b"\x81\xa1a" * 900 + b"\x01", "maps lie more than 16 deep"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is damaged, or is no Flax checkpoint"),
        (pickle.dumps({"a": 1}), "is a pickle or a PyTorch archive"),
        (b"PK\x03\x04 as torch.save writes it", "is a pickle or a PyTorch archive"),
    ],
)
def test_what_is_no_checkpoint(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "flax_model.msgpack"
    file.write_bytes(content)
    with pytest.raises(CodiError) as raised:
        flax_tree.read(file)
    assert raised.value.code is ErrorCode.BAD_MODEL
    assert str(file) in raised.value.message
    assert says in raised.value.message


@pytest.mark.parametrize(("file", "says"), [("", "no Flax checkpoint at"), ("_METADATA", "an orbax folder without")])
def test_a_folder_without_one(file: str, says: str, tmp_path: Path) -> None:
    if file:
        (tmp_path / file).write_text("{}")
    with pytest.raises(CodiError, match=says):
        flax_tree.read(tmp_path)
