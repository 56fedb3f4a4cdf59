"""Training from Python, and what is said of input that does not work."""

from pathlib import Path
from typing import Any

import pytest

import distill
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import read_facts
from distill import run
from tests import tiny

TABLES: dict[str, dict[str, Any]] = {
    "adapter": {"width": 16},
    "data": {"held_out_photos": 3, "held_out_scenes": 2, "crops": (32,)},
    "train": {"steps": 1, "batch_size": 1, "validate_every": 100},
}


def test_one_call_trains_and_saves(pack: Path, toy_backbone: Path, tmp_path: Path) -> None:
    made = distill.train_adapter("sr", pack, tmp_path / "sr", str(toy_backbone), TABLES)
    facts = read_facts(made)
    assert facts is not None and facts.task == "sr"
    assert (tmp_path / "sr-run" / "state.pt").exists()

    (tmp_path / "other").mkdir()
    other = tiny.backbone(tmp_path / "other" / toy_backbone.name, width=24)  # of the same name
    with pytest.raises(CodiError, match=rf"sr-run has run\.model = '{toy_backbone.name} \w+', not") as raised:
        distill.train_adapter("sr", pack, tmp_path / "sr", str(other), TABLES)
    assert raised.value.code is ErrorCode.BAD_OPTION
    with pytest.raises(CodiError, match=r"has adapter\.width = 16, not 32"):
        distill.train_adapter("sr", pack, tmp_path / "sr", str(toy_backbone), {**TABLES, "adapter": {"width": 32}})


def test_the_same_seed_begins_with_the_same_weights(pack: Path, toy_backbone: Path) -> None:
    one, two, other = (
        run.codi_job("sr", str(toy_backbone), pack, {**TABLES, "train": {"seed": seed}}).module.net
        for seed in (1, 1, 2)
    )
    first = [net.controlnet_cond_embedding.conv_in.weight for net in (one, two, other)]
    assert first[0].equal(first[1]) and not first[0].equal(first[2])


def test_data_that_is_not_there_or_empty(tmp_path: Path, toy_backbone: Path) -> None:
    with pytest.raises(CodiError, match=r"there is no folder .*nowhere") as raised:
        distill.train_adapter("sr", tmp_path / "nowhere", tmp_path / "sr", str(toy_backbone), TABLES)
    assert raised.value.code is ErrorCode.MISSING_FILE
    with pytest.raises(CodiError, match=r"nothing is called .*photos/train") as raised:
        distill.train_adapter("sr", tmp_path, tmp_path / "sr", str(toy_backbone), TABLES)
    assert raised.value.code is ErrorCode.BAD_DATA
    assert not (tmp_path / "sr-run").exists()


def test_a_table_that_nobody_reads(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"unknown tables \['trian'\]"):
        run.codi_job("sr", "mini", tmp_path, {"trian": {}})


def test_settings_that_diverge_are_warned_of(
    pack: Path, toy_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.codi_job("sr", str(toy_backbone), pack, {**TABLES, "method": {"loss_space": "x"}})
    assert "warning: predictor prev with loss_space x" in capsys.readouterr().err
