"""codi-export verify: status, lines and keys; what is checked is tested in tests/runtime/test_verify.py."""

import json
from pathlib import Path

import pytest

from codi_export.cli.main import main
from tests import fake_bundle

Output = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "b")
    return tmp_path / "b"


def test_a_sound_bundle_is_0(bundle: Path, capsys: Output) -> None:
    assert main(["verify", str(bundle)]) == 0
    captured = capsys.readouterr()
    assert all(line.startswith("ok    ") for line in captured.out.splitlines())
    assert captured.err == ""
    assert main(["verify", str(bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is True
    assert report["checks"][0] == {"name": "manifest", "ok": True, "detail": "schema and paths"}


def test_what_is_missing_here_is_not_blamed_on_the_bundle(bundle: Path, capsys: Output) -> None:
    assert main(["verify", str(bundle), "--backend", "morse"]) == 1
    error = capsys.readouterr().err
    assert error == "error: 1 of 6 checks failed: golden sr-2step\nhint: `codi-export list backends` describes them\n"


def test_a_changed_file_is_1_and_named(bundle: Path, capsys: Output) -> None:
    (bundle / "graphs/fake.safetensors").write_bytes(b"x" * 76)
    assert main(["verify", str(bundle)]) == 1
    captured = capsys.readouterr()
    assert "FAIL  graphs/fake.safetensors: " in captured.out
    assert captured.err.startswith("error: 2 of 6 checks failed: graphs/fake.safetensors, golden sr-2step\nhint: ")
    assert main(["verify", str(bundle), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["error"]["code"] == "hash-mismatch"
