"""The flags of `codi-export distill` are the fields of its config."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner

from codi_export.cli.main import main
from distill import cli, flags, run
from distill.config import DataConfig, TrainConfig


def given(*words: str) -> dict[str, dict[str, Any]]:
    context = cli.distill.make_context("distill", ["--task", "sr", "--data", ".", *words])
    return flags.given(context)


def test_every_field_has_a_flag_of_its_own() -> None:
    made = [(flag.table, flag.field) for flag in cli.distill.params if isinstance(flag, flags.Flag)]
    assert made == [(table, field.name) for table, kind in run.TABLES.items() for field in fields(kind)]
    words = [word for option in cli.distill.params for word in (*option.opts, *option.secondary_opts)]
    assert len(words) == len(set(words))


def test_what_is_given_has_the_types_of_the_fields() -> None:
    assert given() == {}
    assert given(
        "--predictor", "ddim", "--weight", "1", "--batch-size", "4", "--crops", "64,128", "--betas", "0.8,0.9"
    ) == {
        "method": {"predictor": "ddim", "weight": 1.0},
        "train": {"batch_size": 4, "betas": (0.8, 0.9)},
        "data": {"crops": (64, 128)},
    }
    assert given("--no-attention", "--gradient-checkpointing", "--exclude", "a*,b*", "--L", "10") == {
        "adapter": {"attention": False},
        "train": {"gradient_checkpointing": True},
        "data": {"exclude": ("a*", "b*")},
        "method": {"L": 10},
    }


@pytest.mark.parametrize(
    "words",
    [
        ["--predictor", "prevv"],
        ["--weight", "much"],
        ["--betas", "0.9"],
        ["--crops", "64,wide"],
        ["--learnin-rate", "1"],
        ["--data", "nowhere"],
    ],
)
def test_what_a_flag_does_not_take_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "--task", "sr", "--data", ".", *words, "-o", "x"]) == 2
    assert words[0] in capsys.readouterr().err


@dataclass(frozen=True)
class Left:
    """What the left one is."""

    size: int = 1
    depth: int = 2


@dataclass(frozen=True)
class Right:
    """What the right one is."""

    size: float = 0.5
    on: bool = True


class Both(flags.Command):
    tables: ClassVar[dict[str, type]] = {"left": Left, "right": Right}


@click.command(cls=Both)
@click.pass_context
def both(context: click.Context) -> None:
    """Says what it was given."""
    click.echo(flags.given(context))


def test_a_name_that_two_tables_have_is_prefixed() -> None:
    told = CliRunner().invoke(both, ["--left-size", "3", "--right-size", "3", "--depth", "4", "--no-on"])
    assert told.output.strip() == str({"left": {"size": 3, "depth": 4}, "right": {"size": 3.0, "on": False}})
    assert CliRunner().invoke(both, ["--size", "3"]).exit_code == 2


def test_help_has_a_section_for_each_table() -> None:
    words = CliRunner().invoke(both, ["--help"]).output
    places = [words.index(part) for part in ("[left]:", "What the left one", "--depth", "[right]:", "--on / --no-on")]
    assert places == sorted(places)
    assert "[0.5]" in words and "[yes]" in words


def test_a_flag_beats_the_file_and_the_file_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(run, "train_adapter", lambda *words: seen.append(words) or words[2])
    (tmp_path / "a.yaml").write_text("train: {steps: 3, batch_size: 2}\ndata: {photos: mine}")
    words = [
        "--data",
        str(tmp_path),
        "--config",
        str(tmp_path / "a.yaml"),
        "--batch-size",
        "5",
        "-o",
        str(tmp_path / "x"),
    ]
    assert main(["distill", "--task", "sr", *words]) == 0
    tables = seen[0][4]
    assert TrainConfig(**tables["train"]) == TrainConfig(steps=3, batch_size=5)
    assert DataConfig(**tables["data"]) == DataConfig(photos="mine")


def test_without_a_file_flags_go_over_what_made_minis_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(run, "train_adapter", lambda *words: seen.append(words) or words[2])
    assert main(["distill", "--task", "sr", "--data", ".", "--steps", "7", "-o", "x"]) == 0
    made = run.default_tables("sr")
    assert seen[0][4] == {**made, "train": {**made["train"], "steps": 7}}
