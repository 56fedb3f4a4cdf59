"""Which adapter goes to which task."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS, bundle_name, for_tasks, read_facts, scaled
from codi_export.records import to_json
from codi_export.spec import AdapterSpec, BuildSpec

COMMON = BuildSpec("", (1, 2), model="mini", width=64)


def folder(root: Path, task: str) -> str:
    path = root / f"of-{task}"
    path.mkdir()
    (path / FACTS).write_text(json.dumps(to_json(AdapterSpec(task))))
    return str(path)


def test_each_adapter_goes_to_its_own_task(tmp_path: Path) -> None:
    depth, sr = (folder(tmp_path, task) for task in ("depth", "sr"))
    half = f"{depth}:0.5"
    specs = for_tasks(["sr", "canny", "depth"], [depth, sr, half], COMMON)
    wanted = {"sr": (sr,), "canny": (), "depth": (depth, half)}
    assert specs == tuple(replace(COMMON, task=task, adapters=chosen) for task, chosen in wanted.items())
    assert bundle_name(specs) == "sr-canny-depth-1-2step"


def test_with_one_task_there_is_nothing_to_choose(tmp_path: Path) -> None:
    assert for_tasks(["sr"], [f"{tmp_path}:.5", "b"], COMMON)[0].adapters == (f"{tmp_path}:.5", "b")


def test_adapters_that_fit_no_task(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    for adapters, says in [
        ([str(plain)], "has no codi_adapter.json and says no task"),
        ([folder(tmp_path, "edit")], "is for task 'edit': expected one for sr, depth"),
    ]:
        with pytest.raises(CodiError, match=says) as raised:
            for_tasks(["sr", "depth"], adapters, COMMON)
        assert raised.value.code is ErrorCode.BAD_OPTION


@pytest.mark.parametrize("tasks", [[], ["sr", "sr"]])
def test_tasks_are_distinct(tasks: list[str]) -> None:
    with pytest.raises(CodiError, match="--task: expected distinct names"):
        for_tasks(tasks, [], COMMON)


def test_facts_that_are_no_json(tmp_path: Path) -> None:
    (tmp_path / FACTS).write_text("{")
    with pytest.raises(CodiError, match="is not JSON") as raised:
        read_facts(tmp_path)
    assert raised.value.code is ErrorCode.BAD_MODEL
    assert read_facts(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("option", "file", "scale"),
    [("a.safetensors", "a.safetensors", 1.0), ("a/b:0.5", "a/b", 0.5), ("C:/a", "C:/a", 1.0), ("a:-1", "a", -1.0)],
)
def test_a_file_and_its_scale(option: str, file: str, scale: float) -> None:
    assert scaled(option) == (Path(file), scale)
