"""codi-export profile, as a user calls it."""

import json
from pathlib import Path

import pytest

from codi_export.cli.main import main
from codi_export.profile import result_file
from tests import fake_bundle
from tests.profile.results import a_result


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fake_bundle.write(tmp_path / "sr-2step")
    return tmp_path / "sr-2step"


FEW = ["--iterations", "6", "--runs", "2"]


def test_a_person_reads_a_table(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "sr-2step", *FEW]) == 0
    out = capsys.readouterr().out
    for part in ("p50", "end to end", "engine", "cold load", "images/s", "not reported", "unattributed", "parity"):
        assert part in out


def test_a_machine_reads_json_that_is_the_result_file(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "sr-2step", *FEW, "--json", "--html", "page.html", "--plots", "plots"]) == 0
    captured = capsys.readouterr()
    Path("a.json").write_text(captured.out)
    assert result_file.read(Path("a.json")).subject.graph == "sr-2step"
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert "page.html" in captured.err and Path("plots/sr-2step-latency.png").is_file()


def test_results_are_shown_again(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        result_file.write(a_result(), Path(f"{name}.json"))
    assert main(["profile", "a.json", "b.json", "--html", "both.html"]) == 0
    assert capsys.readouterr().out.count("cold load") == 2 and '"compared":[{' in Path("both.html").read_text()


@pytest.mark.parametrize(("limit", "status"), [("5%", 1), ("15%", 0)])
def test_slower_by_more_than_the_limit_fails(
    limit: str, status: int, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file.write(a_result(times=tuple(100 + k % 7 / 10 for k in range(40))), Path("a.json"))
    result_file.write(a_result(times=tuple(110 + k % 7 / 10 for k in range(40))), Path("b.json"))
    assert main(["profile", "--compare", "a.json", "b.json", "--fail-if-slower", limit]) == status
    captured = capsys.readouterr()
    assert "+10.0%" in captured.out and "slower" in captured.out
    assert ("error: the second takes more than 5.0% longer" in captured.err) == bool(status)


def test_a_comparison_as_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        result_file.write(a_result(times=(1.0,)), Path(f"{name}.json"))
    assert main(["profile", "--compare", "a.json", "b.json", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["end_to_end"]["high"] is None and value["failed"] is False and value["differences"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected one bundle"),
        (["sr-2step", "sr-2step"], "expected one bundle"),
        (["sr-2step", "--fail-if-slower", "5%"], "go with --compare"),
        (["sr-2step", "--fps", "30"], "goes with --scenario stream"),
        (["--compare", "a", "b", "--fail-if-slower", "5"], "expected a percentage"),
        (["sr-2step", "--iterations", "-1"], "iterations"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_other_shapes_are_refused_with_those_that_there_are(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "sr-2step", *FEW, "--shapes", "image:1x16x16x3,noise:1x4x16x16"]) == 0
    assert main(["profile", "sr-2step", *FEW, "--shapes", "image:1x32x32x3"]) == 1
    assert "takes image:1x16x16x3,noise:1x4x16x16" in capsys.readouterr().err


def test_no_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "nowhere"]) == 1
    assert "no bundle at nowhere" in capsys.readouterr().err
