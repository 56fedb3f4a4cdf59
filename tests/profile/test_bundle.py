"""A bundle without a network in it, measured on a clock that stands still between its calls."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from codi_export import bundle
from codi_export.errors import CodiError, ErrorCode
from codi_export.profile.bundle import graph_inputs, profile_bundle
from codi_export.profile.marks import marks
from codi_export.profile.measure import Measured, Time
from codi_export.profile.provenance import Choice
from codi_export.profile.result import Quality, Reading, Run, Settings
from codi_export.profile.sensors import Facts, Sensor
from codi_export.profile.watch import Watch
from tests import fake_bundle
from tests.profile.results import a_result


def settings(**changes: Any) -> Settings:
    return Settings(**{"scenario": "single", "iterations": 6, "duration_s": None, "runs": 2, "seed": 0, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "sr-2step")
    return tmp_path / "sr-2step"


def test_all_of_it(folder: Path) -> None:
    gpu = Sensor("a GPU", Facts("A GPU", "nvidia", driver="1.2"), lambda: Reading(0, {"gpu": 900.0}, throttling=()))
    said: list[tuple[int, int]] = []
    found = profile_bundle(folder, Choice(threads=1), settings(), sensors=[gpu], progress=lambda *n: said.append(n))
    assert found.end_to_end_ms is not None and found.end_to_end_ms.n == 6 and found.engine_ms is not None
    assert found.cold_load_ms and found.first_ms and found.peak_rss_bytes and len(found.runs) == 2
    assert found.quality.here is True and found.quality.build is not None
    assert (found.device.name, found.runtime.driver, found.throttled) == ("A GPU", "1.2", False)
    assert (found.subject.graph, found.subject.timesteps, found.subject.name) == ("sr-2step", (999, 799), "sr-2step")
    assert found.runtime.threads == 1 and found.runtime.transfers == "none" and "onnxruntime" in found.runtime.versions
    assert found.breakdown is not None and found.breakdown.nodes and found.peak_device_bytes is None
    inside = found.breakdown
    assert sum(stage.ms for stage in inside.stages) + inside.unattributed_ms == pytest.approx(inside.engine_ms)
    assert said[-1] == (6, 6) and not found.partial and found.readings


def test_the_model_is_the_files_that_this_graph_reads(tmp_path: Path) -> None:
    manifest = fake_bundle.write(tmp_path / "two", tasks=("sr", "depth"))
    found = profile_bundle(tmp_path / "two", Choice(task="sr"), settings(iterations=0), sensors=[])
    sizes = {one.path: one.bytes for one in manifest.files}
    assert found.subject.model_bytes == sizes["graphs/sr-2step.onnx"] + sizes["graphs/fake.safetensors"]


@pytest.mark.parametrize(
    ("iterations", "mark"), [(0, "no iteration was timed"), (1, "one iteration: nothing is known")]
)
def test_zero_or_one_iteration(iterations: int, mark: str, folder: Path) -> None:
    found = profile_bundle(folder, Choice(), settings(iterations=iterations, runs=1), sensors=[])
    assert any(one.startswith(mark) for one in found.marks) and (found.end_to_end_ms is None) == (iterations == 0)


def test_a_bundle_that_fails_parity_is_measured_and_marked(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    golden = folder / "golden/sr-2step.safetensors"
    tensors = load_file(golden)
    save_file({**tensors, "output": 255 - tensors["output"]}, golden)
    manifest = bundle.read_manifest(folder)
    entries = tuple(bundle.file_entry(folder, one.path) for one in manifest.files)
    bundle.write_manifest(folder, dataclasses.replace(manifest, files=entries))
    found = profile_bundle(folder, Choice(), settings(), sensors=[])
    assert found.quality.here is False and found.end_to_end_ms is not None
    assert any(mark.startswith("fails parity here") for mark in found.marks)


def test_ctrl_c_keeps_what_was_measured(folder: Path) -> None:
    clock = iter(range(1000))
    calls = 0

    def now() -> float:
        nonlocal calls
        calls += 1
        if calls == 90:
            raise KeyboardInterrupt
        return float(next(clock))

    found = profile_bundle(folder, Choice(), settings(iterations=50, runs=1), Time(now, lambda s: None), sensors=[])
    assert found.partial and found.end_to_end_ms is not None and 0 < found.end_to_end_ms.n < 50
    assert found.marks[0].startswith("partial") and found.breakdown is None and found.quality.here is None


def test_full_batches(tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "batch", batch=3)
    found = profile_bundle(tmp_path / "batch", Choice(), settings(scenario="batch", batch=3), sensors=[])
    assert found.images_per_s is not None and found.end_to_end_ms is not None
    assert found.images_per_s == pytest.approx(3000 / found.end_to_end_ms.mean)


def test_a_batch_of_one_is_refused(folder: Path) -> None:
    with pytest.raises(CodiError, match="takes one picture a call") as caught:
        profile_bundle(folder, Choice(), settings(scenario="batch"), sensors=[])
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_a_stream(folder: Path) -> None:
    found = profile_bundle(folder, Choice(), settings(scenario="stream", fps=500.0, runs=1), sensors=[])
    assert found.stream is not None and found.stream.done + found.stream.missed == found.stream.arrived == 6


def test_inputs_without_a_recorded_output_have_the_right_shapes(folder: Path) -> None:
    (graph,) = bundle.read_manifest(folder).graphs
    made = graph_inputs(folder, dataclasses.replace(graph, golden=""))
    assert {name: (str(one.dtype), one.shape) for name, one in made.items()} == {
        "image": ("uint8", (1, 16, 16, 3)), "noise": ("float32", (1, 4, 16, 16)),
    }  # fmt: skip


def said_of(
    times: list[tuple[float, ...]], readings: list[Reading], lost: dict[str, float], others: float
) -> list[str]:
    runs = [Run(1, 1, (), True, tuple(range(len(run))), run, run) for run in times]
    watch = Watch([], lambda: 0.0, 0.0)
    watch.readings, watch.lost = readings, lost
    quality = Quality(None, True, "")
    return marks(Measured(runs), settings(), quality, watch, dataclasses.replace(a_result().device, cores=2), others)


def test_a_clean_result_has_no_marks() -> None:
    assert said_of([(10.0,) * 20] * 2, [Reading(0, throttling=())], {}, 0.1) == []


def test_every_mark() -> None:
    rising = tuple(10.0 + k / 4 for k in range(20))
    spiky = (10.0,) * 18 + (30.0,) * 2
    throttling = [Reading(t, {"gpu": 1000.0 - 40 * t}, throttling=("power cap",)) for t in range(10)]
    said = " | ".join(said_of([rising, spiky], throttling, {"nvml": 3.24}, 1.5))
    for part in (
        "other work kept 1.5 of 2 cores busy", "unsteady: p95 is", "runs differ by", "throttled (power cap)",
        "the gpu clock fell from 1000 to 640 MHz", "the sensor nvml stopped answering after 3.2 s",
    ):  # fmt: skip
        assert part in said, part
    assert "times drift by +" in " | ".join(said_of([rising], [], {}, 0.0))
