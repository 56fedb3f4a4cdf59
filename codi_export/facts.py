"""What adapter folders say of their training, and so which of several goes to which task. Standard library only."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json
from codi_export.spec import AdapterSpec, BuildSpec

FACTS = "codi_adapter.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
LORA = "pytorch_lora_weights.safetensors"  # changes to the backbone's U-Net
UNET = "unet"  # a U-Net in its place


def read_facts(folder: Path) -> AdapterSpec | None:
    """What the adapter says of its training, None where it says nothing."""
    file = folder / FACTS
    if not file.is_file():
        return None
    try:
        return from_json(AdapterSpec, json.loads(file.read_text()))
    except ValueError as error:
        raise CodiError(
            ErrorCode.BAD_MODEL, f"{file} is not JSON: {error}", "copy it again from where the adapter was trained"
        ) from error


def licence(folder: Path) -> str:
    """What the model card in `folder` says in its `license:` line."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    stated = (line.removeprefix("license:").strip() for line in lines if line.startswith("license:"))
    return next(stated, "not stated")


def scaled(option: str) -> tuple[Path, float]:
    """`PATH:SCALE` or `PATH` -> path, scale."""
    path, colon, number = option.rpartition(":")
    try:
        return (Path(path), float(number)) if colon else (Path(option), 1.0)
    except ValueError:
        return Path(option), 1.0  # a colon of the path's own


def assign(adapters: Sequence[str], tasks: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Task -> its adapters among those given, each `DIR` or `DIR:SCALE`. With one task there is nothing to choose.

    Raises CodiError (bad-option) for one that says no task, or none of these.
    """
    if len(tasks) == 1:
        return {tasks[0]: tuple(adapters)}
    found: dict[str, tuple[str, ...]] = {}
    for option in adapters:
        folder, _ = scaled(option)
        facts = read_facts(folder)
        said = f"is for task '{facts.task}'" if facts else f"has no {FACTS} and says no task"
        if facts is None or facts.task not in tasks:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"--adapter {folder} {said}: expected one for {', '.join(tasks)}",
                "build adapters that say no task one by one, into the same -o",
            )
        found[facts.task] = (*found.get(facts.task, ()), option)
    return found


def for_tasks(tasks: Sequence[str], adapters: Sequence[str], common: BuildSpec) -> tuple[BuildSpec, ...]:
    """The options of each task: what all have in common, and its adapters. Raises CodiError as `assign`."""
    if not tasks or len(set(tasks)) < len(tasks):
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"--task: expected distinct names, got {', '.join(tasks) or 'none'}",
            "`codi-export list tasks` names them",
        )
    chosen = assign(adapters, tasks)
    return tuple(replace(common, task=task, adapters=chosen.get(task, ())) for task in tasks)


def bundle_name(specs: Sequence[BuildSpec]) -> str:
    """What a bundle is called unless the user says otherwise: sr-2step, sr-depth-1-2-4step."""
    steps = "-".join(map(str, specs[0].steps))
    return f"{'-'.join(spec.task for spec in specs)}-{steps}step"
