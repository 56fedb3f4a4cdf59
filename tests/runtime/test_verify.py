"""verify passes on what was built and fails on everything else."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codi_export import bundle
from codi_export.records import to_json
from codi_export.runtime import verify
from codi_export.runtime.opening import load
from codi_export.runtime.session import Session
from codi_export.runtime.verify import Check, checks
from tests import fake_bundle

GOLDEN = "golden/sr-2step.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "b")
    return tmp_path / "b"


def failed(folder: Path) -> list[Check]:
    return [check for check in checks(folder) if not check.ok]


def list_again(folder: Path) -> None:
    """Make the manifest agree with the files, as a forger would: only the graphs' behaviour can tell."""
    manifest = to_json(bundle.read_manifest(folder))
    manifest["files"] = [to_json(bundle.file_entry(folder, entry["path"])) for entry in manifest["files"]]
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))


def edit_golden(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = load_file(folder / GOLDEN)
    change(tensors)
    save_file(tensors, folder / GOLDEN)
    list_again(folder)


def test_a_sound_bundle_passes_every_check(folder: Path) -> None:
    done = list(checks(folder))
    assert all(check.ok for check in done)
    assert [check.name for check in done] == [
        "manifest", "pickles", "graphs/fake.safetensors", "graphs/sr-2step.onnx", GOLDEN, "golden sr-2step",
    ]  # fmt: skip
    assert done[-1].detail == "equal to torch's output"


@pytest.mark.parametrize("name", ["graphs/fake.safetensors", "graphs/sr-2step.onnx", GOLDEN])
def test_one_flipped_byte_or_a_removed_file_fails_and_the_graph_is_not_run(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / name).write_bytes(data)
    assert [(check.name, check.code) for check in failed(folder)] == [
        (name, "hash-mismatch"),
        ("golden sr-2step", "bad-bundle"),
    ]
    (folder / name).unlink()
    assert "is missing" in failed(folder)[0].detail


def test_a_bundle_that_cannot_be_read_is_one_failed_check(tmp_path: Path) -> None:
    assert [(check.name, check.code) for check in checks(tmp_path / "none")] == [("manifest", "missing-file")]


def test_a_pickle_fails(folder: Path) -> None:
    (folder / "graphs/x.pt").touch()
    assert failed(folder)[0].name == "pickles"


def test_an_unlisted_graph_is_only_a_warning(folder: Path) -> None:
    (folder / "graphs/old.onnx").touch()
    assert failed(folder) == []
    assert any(check.name == "graphs/old.onnx" and "warning" in check.detail for check in checks(folder))


def test_one_level_from_torch_passes_and_two_fail(folder: Path) -> None:
    def off_by(levels: int) -> Callable[[dict[str, np.ndarray]], object]:
        def change(tensors: dict[str, np.ndarray]) -> None:
            output = tensors["output"]
            output[0, 0, 0] = np.where(output[0, 0, 0] < 128, output[0, 0, 0] + levels, output[0, 0, 0] - levels)

        return change

    edit_golden(folder, off_by(1))
    assert failed(folder) == []
    edit_golden(folder, off_by(1))
    assert failed(folder)[0].code == "parity"
    assert "at most 2 levels" in failed(folder)[0].detail


def test_an_output_of_another_shape_fails(folder: Path) -> None:
    edit_golden(folder, lambda tensors: tensors.update(output=tensors["output"][:, :32].copy()))
    assert "torch's is (1, 32, 64, 3)" in failed(folder)[0].detail


def test_a_golden_without_its_tensors_fails(folder: Path) -> None:
    edit_golden(folder, lambda tensors: tensors.pop("noise"))
    assert "is not a golden" in failed(folder)[0].detail


def test_a_graph_without_a_golden_says_so(folder: Path) -> None:
    path = folder / bundle.MANIFEST
    path.write_text(path.read_text().replace(f'"golden": "{GOLDEN}"', '"golden": ""'))
    assert list(checks(folder))[-1] == Check("golden sr-2step", True, "not recorded")


class Dead:
    """A graph that ignores what it is told to ignore."""

    backend = "onnxruntime"

    def __init__(self, session: Session, ignored: str) -> None:
        self.session, self.ignored = session, ignored

    def run(self, image: np.ndarray, noise: np.ndarray) -> np.ndarray:
        if self.ignored == "both":
            return np.zeros((1, 64, 64, 3), np.uint8)
        return self.session.run(image * (self.ignored != "image"), noise * np.float32(self.ignored != "noise"))


@pytest.mark.parametrize(
    ("ignored", "words"),
    [
        ("both", "constant"),
        ("image", "does not change with the input 'image'"),
        ("noise", "does not change with the input 'noise'"),
    ],
)
def test_a_dead_graph_fails_even_if_its_golden_agrees(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ignored: str, words: str
) -> None:
    dead = Dead(load(folder), ignored)
    monkeypatch.setattr(verify, "open_graph", lambda *_: dead)
    edit_golden(folder, lambda tensors: tensors.update(output=dead.run(tensors["image"], tensors["noise"])))
    assert [words in check.detail for check in failed(folder)] == [True]
