"""One TOML or YAML file a run, a table per record. An unknown key is an error: no typo trains the wrong thing."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from codi_export.errors import CodiError, ErrorCode

T = TypeVar("T")
Tables = Mapping[str, Mapping[str, Any]]  # a config: table -> key -> value


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Where pictures come from (globs under --data) and how they are cut.

    A batch is cut at one side of `crops` (pixels), drawn with the chances `shares`; it holds as many pixels at every
    side, so most steps see many small crops and some see the extent at which the network will be used. `exclude` are
    globs of picture names to leave out, for licences that are not wanted. `image`, `condition` and `caption` name the
    members of a sample in the shards; `turns` allows quarter turns; validation looks at the central `validation_crop`
    pixels of held-out pictures. With `cache = "disk"` a picture is decoded each time that it is drawn; the batches are
    the same. Of shards on a server `stream_shards` are at hand, and every `stream_steps` steps the next one comes.
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
    image: str = "image"
    condition: str = ""
    caption: str = "caption"
    turns: bool = True
    validation_crop: int = 176
    cache: Literal["memory", "disk"] = "memory"
    stream_shards: int = 4
    stream_steps: int = 200


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
    """The tables of a config file, TOML or by its suffix YAML; raises CodiError (bad-option) that names the file and
    the fault."""
    try:
        text = path.read_text()
        tables = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise CodiError(ErrorCode.BAD_OPTION, f"cannot read the config {path}: {error}") from error
    tables = {} if tables is None else tables
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise CodiError(ErrorCode.BAD_OPTION, f"{path}: expected tables of settings, such as train with batch_size")
    return tables


def merged(tables: Tables, over: Tables) -> dict[str, dict[str, Any]]:
    """`tables` with the values of `over` in place of their own."""
    return {name: {**tables.get(name, {}), **over.get(name, {})} for name in {**tables, **over}}


def record(kind: type[T], table: Mapping[str, Any]) -> T:
    """The dataclass `kind` filled from a table; lists become tuples. Raises CodiError (bad-option) on keys that are
    unknown or missing, and on values that a setting does not take."""
    types = get_type_hints(kind)
    unknown = sorted(set(table) - set(types))
    if unknown:
        raise CodiError(ErrorCode.BAD_OPTION, f"unknown {kind.__name__} keys {unknown}; known: {sorted(types)}")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for key, value in values.items():
        if not _fits(types[key], value):
            hint = "YAML reads 8e-4 as a word; write 8.0e-4" if types[key] is float and isinstance(value, str) else ""
            raise CodiError(ErrorCode.BAD_OPTION, f"{key} = {value!r}: expected {_expected(types[key])}", hint)
    try:
        return kind(**values)
    except TypeError as error:  # a required key is missing
        raise CodiError(ErrorCode.BAD_OPTION, f"{kind.__name__}: {error}") from error


def _fits(kind: Any, value: Any) -> bool:
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is Literal:
        return value in kinds
    if origin is tuple:
        each = kinds[:1] * len(value) if isinstance(value, tuple) and kinds[-1] is Ellipsis else kinds
        return isinstance(value, tuple) and len(value) == len(each) and all(map(_fits, each, value))
    return type(value) in ((int, float) if kind is float else (kind,))


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "a list of " + ", ".join("…" if one is Ellipsis else one.__name__ for one in get_args(kind))
    return str(kind.__name__)


# May differ when a run is resumed.
BUDGET = {
    "steps", "seconds", "log_every", "save_every", "validate_every", "tensorboard", "cache", "gradient_checkpointing",
    "sharding",
}  # fmt: skip


def settings(**records: Any) -> dict[str, Any]:
    """Every setting of the dataclasses by dotted name, without the budget: what a resumed run must have in common."""
    return {
        f"{name}.{key}": value
        for name, kept in records.items()
        for key, value in dataclasses.asdict(kept).items()
        if key not in BUDGET
    }
