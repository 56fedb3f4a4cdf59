"""Shards that are fetched: by file:// addresses, which urllib treats like any other."""

import io
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codi_export import registry
from codi_export.errors import CodiError
from distill.adapted import AdapterConfig
from distill.codi import CodiJob
from distill.config import DataConfig, TrainConfig
from distill.data import pictures, stream
from distill.data.pictures import Reading
from distill.data.stream import Stream
from distill.step import CodiConfig
from distill.trainer import train
from tests.distill.conftest import encoded, write_shard

SHARDS, EACH = 5, 3


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    """Five shards of three pictures, as one address."""
    for shard in range(SHARDS):
        files = {f"{shard}{key}.png": encoded(10 * shard + key, "PNG", 40, 40) for key in range(EACH)}
        write_shard(tmp_path / f"train-{shard:02d}.tar", files)
    return f"{tmp_path.as_uri()}/train-{{00..{SHARDS - 1:02d}}}.tar"


def shards_of(pool: Stream) -> list[str]:
    """The shards at hand, in order."""
    return list(dict.fromkeys(picture.name.split("/")[0] for picture in pool))


def test_braces_are_a_range_of_numbers_as_wide_as_the_first() -> None:
    assert stream.addresses("https://host/{a}-{08..11}.tar") == [
        f"https://host/{{a}}-{n}.tar" for n in ("08", "09", "10", "11")
    ]
    assert stream.addresses("file:///one.tar") == ["file:///one.tar"]
    with pytest.raises(CodiError, match=r"\{3\.\.1\} names no shard"):
        stream.addresses("https://host/{3..1}.tar")
    assert stream.is_address("https://host/x.tar") and not stream.is_address("scenes/train-*.tar")


def test_a_window_of_shards_moves_through_all_of_them_and_begins_again(pattern: str) -> None:
    pool = Stream(pattern, Reading(), shards=2, steps=10, held_out=0)
    seen = []
    for step in range(0, 10 * SHARDS, 10):
        pool.seek(step)
        first, second = shards_of(pool)
        assert len(pool) == 2 * EACH and (not seen or seen[-1][1] == first), "one goes, one comes"
        seen.append((first, second))
        pool.seek(step + 9)
        assert shards_of(pool) == [first, second]
    assert len(set(seen)) == SHARDS == len({first for first, _ in seen})
    pool.seek(10 * SHARDS)
    assert tuple(shards_of(pool)) == seen[0]


def test_what_is_at_hand_follows_from_the_step_alone(pattern: str) -> None:
    walked, jumped = (Stream(pattern, Reading(), shards=2, steps=5, held_out=2) for _ in range(2))
    for step in range(18):
        walked.seek(step)
    jumped.seek(17)
    assert [p.name for p in walked] == [p.name for p in jumped]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(walked, jumped, strict=True))


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_held_out_pictures_are_of_the_first_shard_and_never_at_hand(pattern: str, cache: Any) -> None:
    pool = Stream(pattern, Reading(cache=cache), shards=2, steps=1, held_out=2)
    apart = {picture.name for picture in pool.held_out}
    assert len(apart) == 2 and {name.split("/")[0] for name in apart} == {"train-00"}
    for step in range(2 * SHARDS):
        pool.seek(step)
        assert not apart & {picture.name for picture in pool}
        assert all(picture.decoded().pixels.shape == (40, 40, 3) for picture in [*pool, *pool.held_out])


def test_few_files_are_kept(pattern: str) -> None:
    pool = Stream(pattern, Reading(), shards=1, steps=1, held_out=1)
    for step in range(SHARDS + 1):
        pool.seek(step)
        pool.fetched[pool.order[(step + 1) % SHARDS]].result()
        assert len(list(pool.folder.iterdir())) <= 3, "one at hand, the next, and the first"


def test_files_go_when_the_stream_goes(pattern: str) -> None:
    pool = Stream(pattern, Reading(), shards=SHARDS, steps=1, held_out=0)
    folder = pool.folder
    assert any(folder.iterdir())
    del pool
    assert not folder.exists()


def test_more_shards_asked_for_than_there_are(pattern: str) -> None:
    pool = Stream(pattern, Reading(), shards=99, steps=1, held_out=0)
    assert len(pool) == SHARDS * EACH
    pool.seek(3)
    assert len(pool) == SHARDS * EACH


def test_a_shard_that_cannot_be_fetched_is_named_and_left_out(
    pattern: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train-02.tar").unlink()
    (tmp_path / "train-03.tar").write_bytes(b"no tar")
    pool = Stream(pattern, Reading(), shards=SHARDS, steps=1, held_out=0)
    assert sorted(shards_of(pool)) == ["train-00", "train-01", "train-04"]
    told = capsys.readouterr().err
    assert "train-02.tar is left out: cannot fetch" in told and "train-03.tar is left out: no usable picture" in told


def test_without_its_first_shard_a_stream_does_not_begin(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "train-00.tar").unlink()
    with pytest.raises(CodiError, match=r"cannot fetch .*train-00\.tar \(3 attempts\)"):
        Stream(pattern, Reading(), shards=1, steps=1, held_out=0)


def test_a_connection_that_breaks_is_tried_again(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, asked = (tmp_path / "train-00.tar").read_bytes(), []

    class Answer(io.BytesIO):
        headers = Message()

    Answer.headers["Content-Length"] = str(len(content))

    def urlopen(address: str, timeout: float) -> Answer:
        asked.append(address)
        return Answer(content if len(asked) > 1 else content[:700])

    monkeypatch.setattr(stream.urllib.request, "urlopen", urlopen)
    pool = Stream("https://host/train-00.tar", Reading(), shards=1, steps=1, held_out=0)
    assert len(pool) == EACH and asked == ["https://host/train-00.tar"] * 2


def test_only_distillation_streams(pack: Path) -> None:
    with pytest.raises(CodiError, match="addresses are streamed in `codi-export distill` alone"):
        pictures.load(pack, "https://host/train.tar")


def test_a_run_on_a_stream_resumes_to_the_same_bits(
    pattern: str, toy_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataConfig(
        photos="", scenes=pattern, photo_share=0, held_out_scenes=1, crops=(32,), validation_crop=32, stream_shards=2,
        stream_steps=2,
    )  # fmt: skip
    config = TrainConfig(steps=5, batch_size=2, warmup=1, save_every=3, validate_every=100)

    def job() -> CodiJob:
        torch.manual_seed(0)
        sr, shape = registry.get("tasks", "sr"), AdapterConfig(width=16)
        return CodiJob(sr, shape, CodiConfig(target_decay=0.5), data, tmp_path, toy_backbone)

    whole = train(job(), config, tmp_path / "whole").state_dict()
    killed = job()
    monkeypatch.setattr(killed, "stepped", lambda module, step: (CodiJob.stepped(killed, module, step), 1 / (step - 4)))
    with pytest.raises(ZeroDivisionError):
        train(killed, config, tmp_path / "killed")
    resumed = train(job(), config, tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_pool_of_files_is_what_it_was(pack: Path) -> None:
    data = replace(DataConfig(), held_out_scenes=2)
    train_on, held_out = stream.pool(pack, "scenes/train-*.tar", data, 2)
    assert (len(train_on), len(held_out)) == (4, 2)
