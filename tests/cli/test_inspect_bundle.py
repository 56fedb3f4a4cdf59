"""codi-export inspect"""

import json
from pathlib import Path

import pytest

from codi_export.cli.main import main
from codi_export.records import from_json
from codi_export.spec import Manifest
from tests import fake_bundle

Output = pytest.CaptureFixture[str]


def test_people_see_steps_inputs_and_weights(tmp_path: Path, capsys: Output) -> None:
    fake_bundle.write(tmp_path / "b")
    assert main(["inspect", str(tmp_path / "b")]) == 0
    text = capsys.readouterr().out
    for words in (
        "graph sr-2step",
        "2, at t = 999, 799",
        "image uint8 [1, 16, 16, 3]  noise float32 [1, 4, 16, 16]",
        "76 B  sha256 ",
        "CC0-1.0",
    ):
        assert words in text


def test_machines_see_the_manifest_and_the_size(tmp_path: Path, capsys: Output) -> None:
    manifest = fake_bundle.write(tmp_path / "b")
    assert main(["inspect", str(tmp_path / "b"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert from_json(Manifest, report) == manifest
    assert report["bytes"] == sum(entry.bytes for entry in manifest.files)
