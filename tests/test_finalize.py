"""Engines are built once, checked before they count, and kept when a later one fails."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from codi_export import bundle, engines
from codi_export.backends import EngineOptions
from codi_export.errors import CodiError, ErrorCode
from codi_export.finalize import Result, finalize
from codi_export.runtime.opening import load
from codi_export.spec import Manifest
from tests import fake_bundle
from tests.fake_engines import ORIN, Runtime, other

Install = Callable[..., Runtime]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return fake_bundle.write(tmp_path, steps=(1, 2))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def make(**options: object) -> Runtime:
        runtime = Runtime(**options)  # type: ignore[arg-type]
        runtime.install(monkeypatch)
        return runtime

    return make


def run(folder: Path, target: str = "") -> list[Result]:
    return list(finalize(folder, "tensorrt", target))


def test_every_graph_gets_an_engine_that_runs(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install()
    done = run(tmp_path)
    assert [result.engine.graph for result in done] == ["sr-1step", "sr-2step"]
    assert all(result.built and result.engine.golden == "equal to torch's output" for result in done)
    assert done[0].engine.kernels == {"gemm": 3} and done[0].engine.device == "Orin"
    session = load(tmp_path, steps=2, backend="tensorrt")
    assert (session.backend, session.provider) == ("tensorrt", "gpu")
    assert runtime.asked[0][1].timing_cache == tmp_path / "engines/sm87-tensorrt10.3.0.timing"


def test_a_second_call_builds_nothing(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install()
    run(tmp_path)
    assert [result.built for result in run(tmp_path)] == [False, False]
    assert len(runtime.asked) == 2


def test_what_was_whole_before_a_failure_is_kept(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install(fail_at="sr-2step")
    with pytest.raises(CodiError, match="out of memory"):
        run(tmp_path)
    runtime = install()
    assert [result.built for result in run(tmp_path)] == [False, True]
    assert [name for name, _ in runtime.asked] == ["sr-2step"]


def test_a_damaged_engine_is_built_again(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install()
    (tmp_path / run(tmp_path)[0].engine.path).write_bytes(b"half")
    assert [result.built for result in run(tmp_path)] == [True, False]


def test_an_engine_that_is_wrong_never_counts(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install(wrong=True)
    with pytest.raises(CodiError) as caught:
        run(tmp_path)
    assert caught.value.code is ErrorCode.PARITY
    with pytest.raises(CodiError, match="never compared"):
        load(tmp_path, steps=1, backend="tensorrt")


def test_built_ahead_of_time_it_is_checked_on_the_device(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install(device=None)
    ahead = run(tmp_path, "rtx-4090")
    assert [result.engine.golden for result in ahead] == ["", ""]
    assert {options.sm for _, options in runtime.asked} == {89}
    install(device=other(ORIN, 89))
    there = run(tmp_path)
    assert [(result.built, bool(result.engine.golden)) for result in there] == [(False, True), (False, True)]


def test_another_gpu_has_its_own(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install()
    run(tmp_path)
    install(device=other(ORIN, 89))
    assert all(result.built for result in run(tmp_path))
    assert len(list(engines.all_of(tmp_path, manifest.graphs[0]))) == 2


def test_a_gpu_that_only_imitates_bfloat16_is_refused(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    graphs = tuple(replace(graph, precision="bf16") for graph in manifest.graphs)
    bundle.write_manifest(tmp_path, replace(manifest, graphs=graphs))
    install(device=other(ORIN, 75))
    with pytest.raises(CodiError, match=r"\(SM 75\) only imitates bf16"):
        run(tmp_path)


def swapped(folder: Path, manifest: Manifest) -> Manifest:
    """With other bytes for the adapter, as `swap` leaves it."""
    (folder / "graphs/sr.safetensors").write_bytes(save({"adapter.weight": np.array([2.0], np.float32)}))
    files = tuple(entry for entry in manifest.files if entry.path != "graphs/sr.safetensors")
    changed = replace(manifest, files=(*files, bundle.file_entry(folder, "graphs/sr.safetensors")))
    bundle.write_manifest(folder, changed)
    return changed


def test_a_swappable_engine_takes_the_next_adapter(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    (tmp_path / "graphs/sr.safetensors").write_bytes(save({"adapter.weight": np.array([1.0], np.float32)}))
    entry = bundle.file_entry(tmp_path, "graphs/sr.safetensors")
    graphs = tuple(replace(graph, adapter_sha256=entry.sha256) for graph in manifest.graphs)
    manifest = replace(manifest, graphs=graphs, files=(*manifest.files, entry))
    bundle.write_manifest(tmp_path, manifest)
    runtime = install()
    first = list(finalize(tmp_path, "tensorrt", swappable=True))
    assert runtime.asked[0][1].refittable == ("adapter.weight",)
    swapped(tmp_path, manifest)
    second = run(tmp_path)
    assert len(runtime.asked) == len(runtime.refitted) == 2, "refitted, not built"
    assert [result.engine.golden for result in second] == ["no output is recorded for this adapter"] * 2
    assert {one.engine.path for one in first}.isdisjoint(one.engine.path for one in second)


def test_a_plain_engine_is_built_again_after_a_swap(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install()
    run(tmp_path)
    swapped(tmp_path, manifest)
    run(tmp_path)
    assert len(runtime.asked) == 4 and not runtime.refitted


def test_asking_for_more_builds_again(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install()
    run(tmp_path)
    list(finalize(tmp_path, "tensorrt", options=EngineOptions(version_compatible=True)))
    run(tmp_path)
    assert len(runtime.asked) == 4, "what can more also does"


def test_a_stripped_engine_is_opened_with_the_bundles_weights(
    tmp_path: Path, manifest: Manifest, install: Install
) -> None:
    runtime, graph = install(), tmp_path / manifest.graphs[0].path
    stripped = EngineOptions(stripped=True)
    (first, _) = finalize(tmp_path, "tensorrt", options=stripped)
    assert first.engine.stripped and runtime.asked[0][1].stripped
    assert runtime.opened_with[0] == graph, "to be compared with torch's output"
    load(tmp_path, steps=1, backend="tensorrt")
    assert runtime.opened_with[-1] == graph and len(runtime.opened_with) == 3
    assert not any(result.built for result in run(tmp_path)), "it runs, so it is what there is"


def test_timings_are_kept_where_the_user_says(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    runtime = install()
    list(finalize(tmp_path, "tensorrt", options=EngineOptions(timing_cache=tmp_path / "all.timing")))
    assert {options.timing_cache for _, options in runtime.asked} == {tmp_path / "all.timing"}


def test_plugins_are_loaded_before_anything_is_built_or_opened(
    tmp_path: Path, manifest: Manifest, install: Install
) -> None:
    runtime, library = install(), tmp_path / "libmine.so"
    list(finalize(tmp_path, "tensorrt", plugins=[library]))
    load(tmp_path, steps=1, backend="tensorrt", plugins=[library])
    assert runtime.plugins == [library, library]
    with pytest.raises(CodiError, match="backend 'onnxruntime' takes no plugins"):
        load(tmp_path, steps=1, plugins=[library])


def test_a_target_without_a_gpu_has_no_engines(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install()
    with pytest.raises(CodiError, match="target cpu has no NVIDIA GPU"):
        run(tmp_path, "cpu")


def test_a_runtime_that_builds_nothing_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(CodiError, match="onnxruntime runs graphs as they are"):
        list(finalize(tmp_path, "onnxruntime"))


def test_a_changed_bundle_is_not_built_from(tmp_path: Path, manifest: Manifest, install: Install) -> None:
    install()
    (tmp_path / manifest.graphs[0].path).write_bytes(b"other")
    with pytest.raises(CodiError) as caught:
        run(tmp_path)
    assert caught.value.code is ErrorCode.HASH_MISMATCH
    assert bundle.read_manifest(tmp_path) == manifest
