from pathlib import Path

import pytest

from codi_export.errors import CodiError
from distill import config
from distill.autoencoder import AutoencoderConfig
from distill.cli import CONFIGS
from distill.codi import AdapterConfig
from distill.config import DataConfig, TrainConfig
from distill.pretrain import BackboneConfig
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
