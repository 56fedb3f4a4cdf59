"""codi-profile writes what `codi-export profile` writes, of the same graph."""

import dataclasses
import json
from pathlib import Path

import pytest

from codi_export import latency
from codi_export.cli.main import main
from codi_export.profile import result_file
from codi_export.profile.bundle import Choice, profile_bundle
from codi_export.profile.result import Result, Settings
from tests import fake_bundle
from tests.runtime.cpp.conftest import run

FIELDS = {field.name for field in dataclasses.fields(Result)}


def profiled(release: Path, bundle: Path, target: Path, *options: str) -> Result:
    done = run(release / "codi/tools/codi-profile", bundle, "--iterations", "12", "--runs", "2", *options)
    target.write_text(done.stdout)
    assert set(json.loads(done.stdout)) == FIELDS | {"stages", "nodes"}
    return result_file.read(target)


@pytest.fixture(scope="module")
def theirs(release: Path, stub: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return profiled(release, stub, tmp_path_factory.mktemp("profile") / "result.json", "--seed", "5", "--threads", "1")


def test_it_measured_what_was_asked_for(theirs: Result) -> None:
    assert (theirs.settings.iterations, theirs.settings.runs, theirs.settings.seed) == (12, 2, 5)
    assert [len(one.end_to_end_ms) for one in theirs.runs] == [6, 6]
    assert (theirs.runtime.backend, theirs.runtime.provider, theirs.runtime.threads) == ("onnxruntime", "cpu", 1)
    assert theirs.quality.here is True
    assert theirs.quality.detail == "equal to torch's output"
    assert not theirs.partial
    assert theirs.histogram is theirs.drift is theirs.energy is theirs.breakdown is None
    assert theirs.device.sensors == ()


def test_the_statistics_are_those_of_the_samples(theirs: Result) -> None:
    for name in ("end_to_end_ms", "engine_ms"):
        samples = [ms for one in theirs.runs for ms in getattr(one, name)]
        said = dataclasses.asdict(getattr(theirs, name))
        assert said == pytest.approx(dataclasses.asdict(latency.summarise(samples)), rel=1e-5)


def test_the_subject_and_the_machine_are_described_as_python_describes_them(theirs: Result, stub: Path) -> None:
    ours = profile_bundle(stub, Choice(), Settings("single", 2, None, 1, 0))
    assert theirs.subject == ours.subject
    assert theirs.quality == ours.quality
    assert (theirs.device.name, theirs.device.kind, theirs.device.cores) == (
        ours.device.name,
        ours.device.kind,
        ours.device.cores,
    )
    assert theirs.device.memory_bytes == ours.device.memory_bytes
    assert theirs.device.system == ours.device.system


def test_results_of_both_are_compared(
    theirs: Result, stub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file.write(theirs, tmp_path / "cpp.json")
    result_file.write(profile_bundle(stub, Choice(), Settings("single", 6, None, 2, 0)), tmp_path / "python.json")
    assert main(["profile", "--compare", str(tmp_path / "cpp.json"), str(tmp_path / "python.json"), "--json"]) == 0
    assert main(["profile", str(tmp_path / "cpp.json"), "--html", str(tmp_path / "page.html")]) == 0
    assert "sr-2step" in (tmp_path / "page.html").read_text()


def test_extras_are_filled_in(release: Path, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "sr-2step", extras=fake_bundle.EXTRAS)
    result = profiled(release, tmp_path / "sr-2step", tmp_path / "result.json")
    assert result.quality.detail == "not recorded"
    assert result.end_to_end_ms


def test_another_output_than_torchs_is_marked(release: Path, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "b")
    other = fake_bundle.write(tmp_path / "other", size=16, blurs=1)  # the same graph, but blurred at the end
    graph = tmp_path / "b" / other.graphs[0].path
    graph.write_bytes((tmp_path / "other" / other.graphs[0].path).read_bytes())
    manifest = json.loads((tmp_path / "b/codi.json").read_text())
    changed = json.loads((tmp_path / "other/codi.json").read_text())
    entries = {entry["path"]: entry for entry in changed["files"]}
    manifest["files"] = [entries.get(entry["path"], entry) for entry in manifest["files"]]
    (tmp_path / "b/codi.json").write_text(json.dumps(manifest))
    result = profiled(release, tmp_path / "b", tmp_path / "result.json")
    assert result.quality.here is False
    assert result.marks[0].startswith("fails parity here: at most ")


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "no bundle"),
        (["b", "--pace"], 2, "needs a value"),
        (["b", "--pace", "1"], 2, "unknown option --pace"),
        (["b", "--runs", "0"], 2, "positive"),
        (["b"], 1, "no bundle at b"),
    ],
)
def test_wrong_usage_is_told(release: Path, options: list[str], code: int, words: str) -> None:
    done = run(release / "codi/tools/codi-profile", *options, check=False)
    assert done.returncode == code
    assert words in done.stderr
