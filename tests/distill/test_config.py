from pathlib import Path
from typing import Any

import pytest

from codi_export.errors import CodiError
from distill import config
from distill.adapted import AdapterConfig
from distill.autoencoder import AutoencoderConfig
from distill.config import DataConfig, TrainConfig
from distill.pretrain import BackboneConfig
from distill.run import CONFIGS
from distill.step import CodiConfig
from distill.text import TextConfig

RECORDS = {
    "autoencoder": AutoencoderConfig,
    "backbone": BackboneConfig,
    "text": TextConfig,
    "adapter": AdapterConfig,
    "method": CodiConfig,
    "data": DataConfig,
    "train": TrainConfig,
}


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_every_config_that_ships_is_valid(file: Path) -> None:
    for name, table in config.read(file).items():
        made = config.record(RECORDS[name], table)
        if isinstance(made, DataConfig):
            assert len(made.crops) == len(made.shares) and sum(made.shares) == pytest.approx(1)


def test_a_typo_is_an_error_that_lists_the_known_keys() -> None:
    with pytest.raises(CodiError, match=r"unknown TrainConfig keys \['steps_'\]; known: .*'steps'"):
        config.record(TrainConfig, {"steps_": 3})


def test_a_word_that_a_setting_does_not_know() -> None:
    with pytest.raises(CodiError, match=r"predictor = 'prevv': expected one of prev, ddim"):
        config.record(CodiConfig, {"predictor": "prevv"})


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("= 3")
    with pytest.raises(CodiError, match=r"a\.toml"):
        config.read(tmp_path / "a.toml")


def test_yaml_says_what_toml_says(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[train]\nsteps = 3\nbetas = [0.8, 0.9]\n[method]\npredictor = "ddim"\n')
    (tmp_path / "a.yaml").write_text("train:\n  steps: 3\n  betas: [0.8, 0.9]\nmethod: {predictor: ddim}\n")
    assert config.read(tmp_path / "a.yaml") == config.read(tmp_path / "a.toml")


@pytest.mark.parametrize("text", ["[1, 2]", "train: 3", "train: [", "a: !!python/object/apply:os.getcwd []"])
def test_yaml_that_is_no_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yml").write_text(text)
    with pytest.raises(CodiError, match=r"a\.yml"):
        config.read(tmp_path / "a.yml")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "steps"),
        ({"steps": 2.5}, r"steps = 2\.5: expected int"),
        ({"steps": 3, "learning_rate": "8e-4"}, "learning_rate = '8e-4': expected float"),
        ({"steps": 3, "tensorboard": 1}, "tensorboard = 1: expected bool"),
        ({"steps": 3, "betas": [0.9]}, r"betas = \(0\.9,\): expected a list of float, float"),
    ],
)
def test_a_value_of_the_wrong_kind(table: dict[str, Any], message: str) -> None:
    with pytest.raises(CodiError, match=message):
        config.record(TrainConfig, table)


def test_what_is_merged_over_wins() -> None:
    tables = {"train": {"steps": 3, "seed": 1}, "data": {"photos": "a"}}
    over = {"train": {"steps": 4}, "method": {"L": 10}}
    assert config.merged(tables, over) == {
        "train": {"steps": 4, "seed": 1},
        "data": {"photos": "a"},
        "method": {"L": 10},
    }
