"""One TOML file a run. A table per record; an unknown key is an error, so a typo never trains the wrong thing."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from codi_export.errors import CodiError, ErrorCode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where pictures come from (globs under --data) and how they are cut.

    A batch is cut at one side of `crops` (pixels), drawn with the chances `shares`; it holds as many pixels at every
    side, so most steps see many small crops and some see the extent at which the network will be used. `exclude` are
    globs of picture names to leave out, for licences that are not wanted.
    """

    photos: str = "photos/train"
    scenes: str = "scenes/train-*.tar"
    exclude: tuple[str, ...] = ()
    photo_share: float = 0.6
    held_out_photos: int = 12
    held_out_scenes: int = 200
    crops: tuple[int, ...] = (64,)
    shares: tuple[float, ...] = (1.0,)
    scale: tuple[float, float] = (0.5, 1.0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The optimiser and its schedule. With `seconds` the run ends at whichever comes first, and the learning rate
    follows the larger of the two fractions; without it a resumed run repeats an unbroken one bit for bit.

    A step takes `accumulate` batches of `batch_size` in every process. `gradient_checkpointing` keeps fewer activations
    and computes them again on the way back: the same gradients for less memory and about a third more time. `sharding`
    splits what is trained, its gradients and its optimiser over the processes.
    """

    steps: int
    seconds: float = 0.0
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 3e-4
    final_learning_rate: float = 1e-5
    warmup: int = 200
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    log_every: int = 20
    save_every: int = 200
    validate_every: int = 500
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    tensorboard: bool = False
    gradient_checkpointing: bool = False
    sharding: Literal["none", "fsdp"] = "none"


def read(path: Path) -> dict[str, Any]:
    """The tables of a config file; raises CodiError (bad-option) that names the file and the fault."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CodiError(ErrorCode.BAD_OPTION, f"cannot read the config {path}: {error}") from error


def record(kind: type[T], table: dict[str, Any]) -> T:
    """The dataclass `kind` filled from a table; lists become tuples. Raises CodiError (bad-option) on unknown keys and
    on words that a setting does not know."""
    types = get_type_hints(kind)
    unknown = sorted(set(table) - set(types))
    if unknown:
        raise CodiError(ErrorCode.BAD_OPTION, f"unknown {kind.__name__} keys {unknown}; known: {sorted(types)}")
    for key, value in table.items():
        words = get_args(types[key]) if get_origin(types[key]) is Literal else ()
        if words and value not in words:
            raise CodiError(ErrorCode.BAD_OPTION, f"{key} = {value!r}: expected one of {', '.join(words)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})


BUDGET = (
    "steps",
    "seconds",
    "log_every",
    "save_every",
    "validate_every",
    "tensorboard",
    "gradient_checkpointing",
    "sharding",
)  # may differ when a run is resumed


def settings(**records: Any) -> dict[str, Any]:
    """Every setting of the dataclasses by dotted name, without the budget: what a resumed run must have in common."""
    return {
        f"{name}.{key}": value
        for name, kept in records.items()
        for key, value in dataclasses.asdict(kept).items()
        if key not in BUDGET
    }
