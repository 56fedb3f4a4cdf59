"""Results to files and back."""

import json
from pathlib import Path
from typing import Any

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.profile.result import SCHEMA, Result
from codi_export.records import from_json, to_json

TOP = ("stages", "nodes")  # of the breakdown; in the file they are at the top
DIGITS = 6  # significant, of a number in the file


def to_dict(result: Result) -> dict[str, Any]:
    """JSON values, the breakdown's `stages` and `nodes` at the top, as `--json` promises."""
    value: dict[str, Any] = _rounded(to_json(result))
    inside = value["breakdown"] or {}
    top = {name: inside.pop(name, []) for name in TOP}
    return {"schema": value.pop("schema"), **value, **top}


def write(result: Result, path: Path) -> None:
    """Raises CodiError (write-failed)."""
    files.write(path, json.dumps(to_dict(result), allow_nan=False).encode() + b"\n")


def read(path: Path) -> Result:
    """Raises CodiError (missing-file, bad-data, newer-schema)."""
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CodiError(ErrorCode.MISSING_FILE, f"cannot read {path}: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise _not_a_result(path, str(error)) from error
    if not isinstance(value, dict) or type(value.get("schema")) is not int or "end_to_end_ms" not in value:
        raise _not_a_result(path, "it has no schema and times")
    if value["schema"] > SCHEMA:
        message = f"{path} has schema {value['schema']}; this codi-export reads up to {SCHEMA}"
        raise CodiError(ErrorCode.NEWER_SCHEMA, message, "update codi-export: pip install -U codi-export")
    if isinstance(inside := value.get("breakdown"), dict):
        value["breakdown"] = {name: value[name] for name in TOP if name in value} | inside
    try:
        return from_json(Result, value)
    except CodiError as error:
        raise _not_a_result(path, error.message) from error


def _not_a_result(path: Path, reason: str) -> CodiError:
    message = f"{path} is not a profile's result: {reason}"
    return CodiError(ErrorCode.BAD_DATA, message, "codi-export profile BUNDLE --json > result.json makes one")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
