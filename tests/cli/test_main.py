"""The command table and what becomes of errors."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from codi_export.cli import main as main_module
from codi_export.cli.main import COMMANDS, main

Output = pytest.CaptureFixture[str]


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    code = """
import sys
from codi_export.cli.main import main
assert main(["--help"]) == 0
heavy = {"torch", "numpy", "PIL", "onnx", "onnxruntime", "safetensors", "distill"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n  {verb} " in done.stdout for verb in COMMANDS)


@pytest.mark.parametrize("verb", ["run", "verify", "inspect", "list", "import-flax", "doctor"])
def test_every_verb_has_help_with_an_example_and_json(verb: str, capsys: Output) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Example: codi-export {verb}" in text
    assert "--json" in text


def test_no_words_are_answered_with_help(capsys: Output) -> None:
    assert main([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_version(capsys: Output) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("codi-export, version 0")


@pytest.mark.parametrize(
    "words", [["fly"], ["run"], ["list", "birds"], ["run", "b", "i", "-o", "o", "--tile", "big"], ["verify", "--x"]]
)
def test_wrong_usage_is_2_in_words_and_in_json(words: list[str], capsys: Output) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert main([*words, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "bad-option"
    assert error["message"]
    assert "--help" in error["hint"]


def test_an_option_that_counts_once_is_not_dropped_silently(tmp_path: Path, capsys: Output) -> None:
    bundle = str(tmp_path / "none")
    assert main(["run", bundle, "photo.png", "-o", "a.png", "--output", "b.png"]) == 2
    assert capsys.readouterr().err.startswith("error: --output is given 2 times")
    assert main(["run", bundle, "photo.png", "-o", "a.png", "--plugin", "a", "--plugin", "b", "--json", "--json"]) == 1
    assert "no bundle at" in capsys.readouterr().err


def test_an_error_is_two_lines_and_1(tmp_path: Path, capsys: Output) -> None:
    assert main(["inspect", str(tmp_path / "none")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: no bundle at")
    assert lines[1].startswith("hint: ")


def test_an_error_in_json_has_code_message_and_hint(tmp_path: Path, capsys: Output) -> None:
    assert main(["inspect", str(tmp_path / "none"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.keys() == {"code", "message", "hint"}
    assert error["code"] == "missing-file"


def verb_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def verb() -> None:
        raise error

    monkeypatch.setattr(main_module.Verbs, "get_command", lambda *_: verb)


def test_a_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    verb_that_raises(monkeypatch, ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert main(["build"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: this needs torch, which is not installed",
        "hint: pip install 'codi-export[export]'",
    ]


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no", name="codi_export.typo"), ImportError("no"), ValueError("no")]
)
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    verb_that_raises(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["build"])


def test_ctrl_c_is_one_word(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    verb_that_raises(monkeypatch, KeyboardInterrupt())
    assert main(["build"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"
