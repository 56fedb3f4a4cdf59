"""Files that travel in pieces come whole, or not at all."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.pieces import join, split


@given(st.binary(max_size=50), st.integers(1, 20))
def test_what_was_split_is_joined(data: bytes, size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, folder = Path(name, "a.whl"), Path(name, "pieces")
        source.write_bytes(data)
        assert all(len(piece.read_bytes()) <= size for piece in split(source, folder, size))
        assert [path.read_bytes() for path in join(folder)] == [data]
        assert [path.name for path in folder.iterdir()] == ["a.whl"]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_missing_or_damaged_piece_is_named(damage: str, tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"0123456789")
    pieces = split(tmp_path / "a.whl", tmp_path / "pieces", 4)
    assert len(pieces) == 3
    if damage == "missing":
        pieces[1].unlink()
    else:
        pieces[1].write_bytes(b"xxxx")
    with pytest.raises(SystemExit, match=r"a\.whl lacks 1 of 3 pieces|a\.whl: a piece is damaged"):
        join(tmp_path / "pieces")
    assert not (tmp_path / "pieces/a.whl").exists()
