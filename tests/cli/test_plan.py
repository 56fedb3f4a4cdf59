"""codi-export plan"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from codi_export import bundle, costs
from codi_export.cli.main import main
from codi_export.costs import NodeCost
from tests import fake_bundle

Output = pytest.CaptureFixture[str]
NODES = tuple(
    NodeCost(f"{stage}/a", "Conv", 10**9, 3 * 10**6, 10**6, 10**6, 2 * 10**6, "unet.conv_in")
    for stage in ("condition", "step1", "step2", "decode")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that says what its nodes cost."""
    manifest = fake_bundle.write(tmp_path / "sr-2step")
    path = "graphs/sr-2step.cost.json"
    costs.write(tmp_path / "sr-2step" / path, NODES)
    graph = replace(manifest.graphs[0], cost=path, weight_bytes=10**6)
    files = (*manifest.files, bundle.file_entry(tmp_path / "sr-2step", path))
    bundle.write_manifest(tmp_path / "sr-2step", replace(manifest, graphs=(graph,), files=files))
    return tmp_path / "sr-2step"


def test_people_see_memory_stages_and_bounds(folder: Path, capsys: Output) -> None:
    assert main(["plan", str(folder), "--target", "jetson-orin-nano-8gb"]) == 0
    text = capsys.readouterr().out
    assert "sr-2step in fp32 on Jetson Orin Nano 8GB, MAXN_SUPER: computed, not measured" in text
    assert "condition" in text and "of which  unet 100 %" in text


def test_a_bundle_is_planned_for_what_it_was_built_for(folder: Path, capsys: Output) -> None:
    assert main(["plan", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "cpu"
    manifest = bundle.read_manifest(folder)
    builds = tuple(replace(build, target="jetson-orin-nano-8gb") for build in manifest.builds)
    bundle.write_manifest(folder, replace(manifest, builds=builds))
    assert main(["plan", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "jetson-orin-nano-8gb"


def test_machines_see_stable_keys(folder: Path, capsys: Output) -> None:
    assert main(["plan", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"fits", "target", "peak_bytes", "stages", "roofline_ms", "advice"} <= set(report)
    assert set(report["peak_bytes"]) == {"export", "build", "run"}
    assert set(report["roofline_ms"]) == {"1", "2", "4"}
    assert set(report["stages"][0]) == {"name", "flops", "bytes", "roofline_ms"}


def test_what_cannot_fit_fails_and_names_the_knob(folder: Path, capsys: Output) -> None:
    manifest = bundle.read_manifest(folder)
    heavy = replace(manifest.graphs[0], weight_bytes=6 * 10**9)
    bundle.write_manifest(folder, replace(manifest, graphs=(heavy,)))
    assert main(["plan", str(folder), "--target", "rtx-4060", "--precision", "fp32", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "does-not-fit"
    assert "--precision int8" in captured.err


def test_what_the_hardware_lacks_is_refused_first(folder: Path, capsys: Output) -> None:
    assert main(["plan", str(folder), "--target", "jetson-agx-orin-64gb", "--precision", "fp8"]) == 1
    assert "Jetson AGX Orin 64GB has no fp8 arithmetic" in capsys.readouterr().err


def test_neither_a_bundle_nor_a_task_is_wrong_usage(capsys: Output) -> None:
    assert main(["plan"]) == 2
    assert "give a BUNDLE, or --task" in capsys.readouterr().err
