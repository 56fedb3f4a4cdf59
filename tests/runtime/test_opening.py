"""What opens, by which choices, and what is refused before anything runs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import codi_export
from codi_export import bundle
from codi_export.backends import onnxruntime
from codi_export.errors import CodiError
from codi_export.runtime.opening import load, open_graph
from tests import fake_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "b", tasks=("sr", "depth"), steps=(2, 4))
    return tmp_path / "b"


def test_it_opens_the_lowering_that_the_backend_wants(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = bundle.read_manifest(folder).graphs[:2]
    (folder / first.path).rename(folder / "graphs/sr-2step.codi.onnx")
    first = replace(first, lowerings={"codi": "graphs/sr-2step.codi.onnx"})
    monkeypatch.setattr(onnxruntime, "BACKEND", replace(onnxruntime.BACKEND, lowering=lambda provider: "codi"))
    assert open_graph(folder, first).lowering == "codi"
    assert open_graph(folder, other).lowering == "portable"


def test_a_session_says_what_it_runs_on_and_how_it_was_checked(folder: Path) -> None:
    session = codi_export.load(folder, task="sr", check="size", threads=1)
    assert (session.graph.name, session.provider, session.backend) == ("sr-2step", "cpu", "onnxruntime")
    assert session.check == "size"


@pytest.mark.parametrize(
    ("task", "steps", "name"), [("sr", None, "sr-2step"), ("sr", 4, "sr-4step"), ("depth", 2, "depth-2step")]
)
def test_task_and_steps_choose_the_graph(folder: Path, task: str, steps: int | None, name: str) -> None:
    assert load(folder, task, steps).graph.name == name


@pytest.mark.parametrize(
    ("task", "steps", "words"),
    [
        (None, None, "several tasks: sr, depth"),
        ("srr", None, "unknown task 'srr'; this bundle has: sr, depth"),
        ("sr", 3, "no graph with 3 steps; this bundle has: 2, 4"),
    ],
)
def test_a_choice_that_does_not_exist_is_answered_with_those_that_do(
    folder: Path, task: str | None, steps: int | None, words: str
) -> None:
    with pytest.raises(CodiError, match=words):
        load(folder, task, steps)


def test_a_changed_file_is_never_run(folder: Path) -> None:
    weights = folder / "graphs/fake.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CodiError, match=r"fake\.safetensors has changed"):
        load(folder, "sr")
    with pytest.raises(CodiError, match="unknown backend 'tensor'"):
        load(folder, "sr", backend="tensor", check="size")


def test_inputs_that_are_not_known_are_refused(folder: Path) -> None:
    text = (folder / bundle.MANIFEST).read_text().replace('"noise"', '"depth"')
    (folder / bundle.MANIFEST).write_text(text)
    with pytest.raises(CodiError, match="inputs that are not known here: depth"):
        load(folder, "sr")


def test_running_a_bundle_imports_no_torch(folder: Path) -> None:
    code = f"""
import sys, numpy, codi_export
codi_export.load({str(folder)!r}, task="sr")(numpy.zeros((20, 20, 3), numpy.uint8))
print(sorted({{"torch", "diffusers", "onnx", "click"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
