"""The file is what the records say, survives a round trip, and is refused in words where it is something else."""

import dataclasses
import json
import typing
from pathlib import Path

import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.profile import result as module
from codi_export.profile.result import SCHEMA
from codi_export.profile.result_file import read, to_dict, write
from tests.profile.results import a_result


def test_round_trip(tmp_path: Path) -> None:
    write(a_result(), tmp_path / "a.json")
    assert read(tmp_path / "a.json") == a_result()


def test_what_is_not_reported_is_null_and_never_zero(tmp_path: Path) -> None:
    value = to_dict(a_result())
    assert value["peak_device_bytes"] is None and value["throttled"] is None and value["runtime"]["cuda_graph"] is None
    assert value["readings"][1]["energy_j"] is None


def test_the_promised_keys_are_at_the_top() -> None:
    value = to_dict(a_result())
    assert set(value["end_to_end_ms"]) == set(value["engine_ms"]) == {
        "p50", "p90", "p95", "p99", "min", "max", "mean", "n",
    }  # fmt: skip
    assert value["schema"] == SCHEMA and value["stages"][0]["name"] == "condition"
    assert {"cold_load_ms", "nodes", "peak_rss_bytes", "device"} <= set(value)
    assert to_dict(a_result(breakdown=None))["stages"] == []


def test_stages_are_read_from_either_place(tmp_path: Path) -> None:
    value = to_dict(a_result())
    assert "nodes" not in value["breakdown"]
    value["breakdown"] |= {name: value.pop(name) for name in ("stages", "nodes")}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read(tmp_path / "a.json") == a_result()


def test_numbers_have_six_digits() -> None:
    assert to_dict(a_result(times=(1 / 3,)))["runs"][0]["end_to_end_ms"] == [0.333333]


def test_unknown_keys_are_ignored(tmp_path: Path) -> None:
    value = to_dict(a_result()) | {"weather": "fine"}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read(tmp_path / "a.json") == a_result()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("{", ErrorCode.BAD_DATA, "not a profile's result"),
        ("[]", ErrorCode.BAD_DATA, "no schema"),
        ('{"schema": 1}', ErrorCode.BAD_DATA, "no schema and times"),
        ('{"schema": 99, "end_to_end_ms": null}', ErrorCode.NEWER_SCHEMA, "reads up to 1"),
        ('{"schema": 1, "end_to_end_ms": null}', ErrorCode.BAD_DATA, "'date'"),
    ],
)
def test_other_files_are_refused(text: str, code: ErrorCode, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CodiError, match=said) as caught:
        read(tmp_path / "a.json")
    assert caught.value.code is code


def test_lists_of_one_run_are_of_one_length(tmp_path: Path) -> None:
    value = to_dict(a_result())
    value["runs"][0]["engine_ms"].pop()
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(CodiError, match="length"):
        read(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="nowhere"):
        read(tmp_path / "nowhere.json")


def test_units_are_in_the_names() -> None:
    """Every number says its unit, or is a count, a share or a probability."""
    plain = {
        "p50", "p90", "p95", "p99", "min", "max", "mean", "n",  # of `Latency`, whose name has the unit
        "schema", "steps", "threads", "cores", "iterations", "runs", "seed", "fps", "batch", "calls", "counts", "shape",
        "timesteps", "flops", "bytes", "arrived", "done", "missed", "within", "p", "between", "share", "roofline_share",
        "images_per_s", "joules_per_image", "mean_mw", "ms",
    }  # fmt: skip
    records = [kind for kind in vars(module).values() if getattr(kind, "__module__", "") == module.__name__]
    numbers = {
        name
        for kind in records
        if dataclasses.is_dataclass(kind)
        for name, hint in typing.get_type_hints(kind).items()
        if any(word in str(hint) for word in ("int", "float")) or hint in (int, float)
    }
    units = ("_ms", "_s", "_bytes", "_mhz", "_mw", "_c", "_j")
    assert {name for name in numbers if not name.endswith(units)} - plain == set()
