import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.errors import CodiError
from distill.data import pictures, shards
from distill.data.pictures import Reading
from tests.distill.conftest import encoded, write_shard

IMAGE = encoded(0, "PNG")


def test_plain_and_named_members_of_any_image_type(tmp_path: Path) -> None:
    files = {
        "a.jpg": encoded(0, "JPEG"),
        "a.txt": b"a text\n",
        "in/b.c.image.PNG": IMAGE,
        "in/d.jpeg": encoded(1, "JPEG"),
        "in/d.json": json.dumps({"caption": "a row"}).encode(),
        "._a.jpg": b"what other systems leave behind",
        "./e.webp": encoded(2, "WEBP"),
    }
    write_shard(tmp_path / "s.tar", files)
    found = list(shards.find(tmp_path / "s.tar", Reading()))
    names = [(sample.name, sample.caption) for sample in found if not sample.fault]
    assert names == [("s/a", "a text"), ("s/in/d", "a row"), ("s/e", "")]
    assert [sample.name for sample in found if sample.fault] == ["s/in/b"]  # its member is called "c.image"


def test_members_that_lack_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "a.image.png": IMAGE,
        "a.depth.png": IMAGE,
        "b.image.png": IMAGE,
        "c.depth.png": IMAGE,
        "d.png": IMAGE,
        "d.depth.png": IMAGE,
        "d.json": b"{",
    }
    write_shard(tmp_path / "s.tar", files)
    (kept,) = pictures.load(tmp_path, "*.tar", Reading(condition="depth"))
    assert kept.name == "s/a" and kept.condition is not None
    said = capsys.readouterr().err
    assert "1 without depth: s/b" in said and "1 without image: s/c" in said and "1 with a bad .json: s/d" in said


def test_an_edit_names_both_of_its_pictures(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", {"a.image.png": IMAGE, "a.edited.png": encoded(1, "PNG"), "a.txt": b"redder"})
    (edit,) = pictures.load(tmp_path, "*.tar", Reading(image="edited", condition="image", caption="instruction"))
    assert edit.caption == "redder"
    assert edit.pixels.tolist() != pictures.load(tmp_path, "*.tar")[0].pixels.tolist() == edit.condition.tolist()


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shard(tmp_path_factory.mktemp("four") / "four.tar", {f"{n}.png": IMAGE for n in range(4)})


@given(share=st.floats(0, 1))
def test_a_shard_that_is_cut_short_gives_what_stands_before(four: Path, share: float) -> None:
    members, damage = shards._index(four)
    assert not damage and [key for key, _, _ in members] == ["0", "1", "2", "3"]
    ends = [part.offset + part.size for _, _, part in members]
    length = int(share * (ends[-1] - 1))
    cut = four.with_name("cut.tar")
    cut.write_bytes(four.read_bytes()[:length])
    *usable, damaged = shards.find(cut, Reading())
    assert [sample.name for sample in usable] == [f"cut/{n}" for n, end in enumerate(ends) if end <= length]
    assert damaged.name == "cut.tar" and damaged.fault is not None


def test_a_damaged_shard_is_named_and_the_others_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = write_shard(tmp_path / "1.tar", {"a.png": IMAGE, "b.png": IMAGE}).read_bytes()
    header = whole.index(b"b.png")
    (tmp_path / "2.tar").write_bytes(whole[:header] + b"\xff" * 512 + whole[header + 512 :])
    (tmp_path / "3.tar").write_bytes(b"no tar at all")
    assert [p.name for p in pictures.load(tmp_path, "*.tar")] == ["1/a", "1/b", "2/a"]
    said = capsys.readouterr().err
    assert "2 no plain tar, or damaged: 2.tar (neither a file nor an end mark after 1 files), 3.tar" in said


def test_a_compressed_shard_is_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar.gz", {"a.png": IMAGE}, "w:gz")
    with pytest.raises(CodiError, match="no plain tar, or damaged"):
        pictures.load(tmp_path, "s.tar.gz")


def test_a_slice_is_a_file_of_its_own(tmp_path: Path) -> None:
    write_shard(tmp_path / "s.tar", {"a.png": IMAGE, "b.jpg": encoded(1, "JPEG")})
    part = list(shards.find(tmp_path / "s.tar", Reading()))[1].files[0]
    with part.open("rb") as stream:
        assert stream.read() == part.read_bytes() == encoded(1, "JPEG")
        assert stream.seek(-2, io.SEEK_END) == len(encoded(1, "JPEG")) - 2 and len(stream.read()) == 2
