"""Training an adapter from Python: what `codi-export distill` calls."""

import sys
from pathlib import Path

import torch
from accelerate import PartialState

from codi_export import registry, zoo
from codi_export.errors import CodiError, ErrorCode

from . import config
from .adapted import AdapterConfig
from .codi import CodiJob
from .config import DataConfig, Tables, TrainConfig
from .step import CodiConfig, advice
from .trainer import train

CONFIGS = Path(__file__).parent / "configs"
TABLES: dict[str, type] = {"adapter": AdapterConfig, "method": CodiConfig, "data": DataConfig, "train": TrainConfig}


def train_adapter(task: str, data: Path, output: Path, model: str = "mini", tables: Tables | None = None) -> Path:
    """Train an adapter for `task` on the pictures under `data` into the folder `output`, which is returned.

    `model` is a diffusers folder or the name of an embedded one. `tables` are a config's (`config.read`,
    `config.merged`); without them the one that made mini's adapter. The run folder beside `output` is resumed. Raises
    CodiError for settings, data and models that do not work, and when training diverges.
    """
    tables = default_tables(task) if tables is None else tables
    settings = config.record(TrainConfig, tables.get("train", {}))
    job = codi_job(task, model, data, tables)
    average = train(job, settings, run_folder(output))
    if PartialState().is_main_process:
        job.save(average, output)
    return output


def codi_job(task: str, model: str, data: Path, tables: Tables) -> CodiJob:
    """The job of a config's tables; warns on stderr of settings that are known to diverge. New weights follow the seed,
    so that several processes begin alike."""
    found = registry.get("tasks", task)
    if not data.is_dir():
        raise CodiError(
            ErrorCode.MISSING_FILE, f"there is no folder {data}", "data is where the config's patterns start from"
        )
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise CodiError(ErrorCode.BAD_OPTION, f"unknown tables {unknown} in the config; known: {sorted(TABLES)}")
    method = config.record(CodiConfig, tables.get("method", {}))
    if warning := advice(method):
        print(f"warning: {warning}", file=sys.stderr)
    torch.manual_seed(tables.get("train", {}).get("seed", 0))
    return CodiJob(
        found,
        config.record(AdapterConfig, tables.get("adapter", {})),
        method,
        config.record(DataConfig, tables.get("data", {})),
        data,
        zoo.folder(model),
    )


def default_tables(task: str) -> Tables:
    """The config that made mini's adapter for a task; raises CodiError (bad-option, unknown-name)."""
    registry.get("tasks", task)
    return config.read(CONFIGS / f"mini-{task}.toml")


def run_folder(output: Path) -> Path:
    """Where a run keeps its state, log and grids: beside what it makes."""
    return output.with_name(output.name + "-run")
