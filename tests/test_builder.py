"""A build from end to end, once, and what a failed one leaves behind."""

import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import safetensors.numpy

import codi_export
from codi_export import apart, builder, bundle, costs, narrowing
from codi_export.cli.main import main
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph.export import Exported
from codi_export.parity import Outcome
from codi_export.runtime.verify import checks
from codi_export.spec import AdapterSpec, BuildSpec, Manifest
from tests import tiny


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """1 and 4 steps, two pictures a call, over weights of some size (10 MB), as ours are against their graphs."""
    root = tmp_path_factory.mktemp("build")
    model = tiny.backbone(root / "model", "v_prediction", "tiny", zero_snr=True, width=64)
    (model / "README.md").write_text("---\nlicense: cc0-1.0\n---\n# toy\n")
    adapter = tiny.adapter(root / "adapter", model, AdapterSpec("sr", timesteps={"1": (999,)}))
    out = root / "sr"
    return out, codi_export.build("sr", (1, 4), out, model=str(model), adapter=str(adapter), width=48, batch_size=2)


def test_the_bundle_is_whole(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    assert bundle.read_manifest(folder) == manifest
    bundle.check(folder, manifest)
    assert bundle.unlisted(folder, manifest) == []
    assert not list(folder.rglob("*.probe.*"))


def test_four_steps_take_hardly_more_room_than_one(built: tuple[Path, Manifest]) -> None:
    sizes = {entry.path: entry.bytes for entry in built[1].files if entry.path.startswith("graphs/")}
    shared = sizes["graphs/backbone.safetensors"] + sizes["graphs/sr.safetensors"]
    one, four = (
        shared + sum(size for path, size in sizes.items() if Path(path).name.startswith(f"sr-{n}step.")) for n in (1, 4)
    )  # fmt: skip
    assert four <= 1.12 * one, "1.0 MB of nodes and what they cost, over 10 MB of weights"


def test_what_each_node_costs_is_kept_under_the_name_it_has_in_the_graph(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    for graph in manifest.graphs:
        nodes = onnx.load(folder / graph.path, load_external_data=False).graph.node
        assert [cost.name for cost in costs.read(folder, graph)] == [node.name for node in nodes]


def test_the_manifest_says_what_was_built(built: tuple[Path, Manifest]) -> None:
    _, manifest = built
    one, four = manifest.graphs
    assert (one.name, four.name, one.steps, four.steps) == ("sr-1step", "sr-4step", 1, 4)
    assert [spec.shape for spec in (*one.inputs, *one.outputs)] == [(2, 8, 12, 3), (2, 4, 8, 12), (2, 32, 48, 3)]
    assert (one.scale, one.latent_factor) == (4, 4)
    assert one.warnings == ()
    assert len(four.warnings) == 1
    assert manifest.licences == {"backbone": "cc0-1.0", "sr": "not stated"}
    assert {"torch", "diffusers", "onnxruntime"} <= set(manifest.tools)


def test_parity_was_met_and_is_recorded(built: tuple[Path, Manifest]) -> None:
    for graph in built[1].graphs:
        assert graph.parity.image_psnr_db >= 60
        assert graph.parity.latent_rms <= 1e-4
        assert graph.parity.max_level <= 1


def test_the_golden_output_is_torchs_and_the_session_agrees(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    for graph in manifest.graphs:
        golden = safetensors.numpy.load_file(folder / graph.golden)
        output = codi_export.load(folder, steps=graph.steps).run(golden["image"], golden["noise"])
        assert np.abs(output.astype(int) - golden["output"]).max() <= 1


def test_pictures_of_a_batch_do_not_see_each_other(built: tuple[Path, Manifest]) -> None:
    session = codi_export.load(built[0], steps=1)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    noise = rng.standard_normal((2, 4, 8, 12)).astype(np.float32)
    swapped = session.run(image[::-1].copy(), noise[::-1].copy())
    assert np.abs(session.run(image, noise).astype(int) - swapped[::-1]).max() <= 1


def _shas(folder: Path) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in bundle.read_manifest(folder).files}


def test_tasks_share_a_bundle_whether_they_come_together_or_one_by_one(tmp_path: Path) -> None:
    model = tiny.backbone(tmp_path / "model", vae="tiny")
    facts = (AdapterSpec("depth"), AdapterSpec("inpaint", condition="unshuffled"))
    nets = {one.task: str(tiny.adapter(tmp_path / one.task, model, one)) for one in facts}
    both, apart = tmp_path / "both", tmp_path / "apart"
    codi_export.build(list(nets), 1, both, model=str(model), adapter=list(nets.values()))
    codi_export.build("depth", 1, apart, model=str(model), adapter=nets["depth"])
    alone = _shas(apart)
    assert "graphs/encoder.safetensors" not in alone, "depth never encodes"
    codi_export.build("inpaint", 1, apart, model=str(model), adapter=nets["inpaint"])

    manifest = bundle.read_manifest(both)
    assert manifest == bundle.read_manifest(apart)
    assert [graph.name for graph in manifest.graphs] == ["depth-1step", "inpaint-1step"]
    assert list(manifest.adapters) == [spec.task for spec in manifest.builds] == list(nets)
    assert {path: _shas(both)[path] for path in alone} == alone, "a task is the same in company"
    assert codi_export.load(both, task="depth").graph.name == "depth-1step"


def test_tasks_in_int8_that_leave_other_layers_in_float_share_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, out = tiny.backbone(tmp_path / "model", vae="tiny"), tmp_path / "both"
    monkeypatch.setattr(apart, "race", lambda paths, inputs, backend: (0.5, 50.0))
    for task, island in (("depth", "unet.conv_in"), ("canny", "unet.conv_out")):
        net = tiny.adapter(tmp_path / task, model, AdapterSpec(task))
        monkeypatch.setattr(narrowing, "search", lambda *_, island=island: frozenset({island}))
        codi_export.build(task, 1, out, model=str(model), adapter=str(net), precision="int8", cache=False)
    backbone, canny = (
        set(safetensors.numpy.load_file(out / f"graphs/{name}.safetensors"))
        for name in ("backbone.int8", "canny-1step")
    )
    assert {"unet.conv_in.weight", "unet.conv_out.weight_int8", "unet.conv_in.bias"} <= backbone
    assert {"unet.conv_in.weight_int8", "unet.conv_out.weight"} <= canny and not backbone & canny
    assert [check.name for check in checks(out) if not check.ok] == []


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> BuildSpec:
    """A build whose tracing was done before."""

    def export(*_: object) -> Exported:
        return tiny.exported("epsilon")

    monkeypatch.setattr(builder, "export", export)
    return replace(tiny.recipe("epsilon").spec, steps=(1,))


def test_a_graph_that_differs_is_not_kept(traced: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = builder.run_graph

    def wrong(*given: object) -> list[Outcome]:
        return [replace(one, latents=[1.01 * x for x in one.latents]) for one in honest(*given)]  # type: ignore[arg-type]

    monkeypatch.setattr(builder, "run_graph", wrong)
    with pytest.raises(CodiError, match=r"x of step 1 is the first to, by 1\.0e-02") as raised:
        builder.build_specs([traced], tmp_path / "out")
    assert raised.value.code is ErrorCode.PARITY
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_leaves_nothing(traced: BuildSpec, tmp_path: Path) -> None:
    """Here as a limit on a file's size, which the system tells in the same way."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CodiError, match="cannot write") as raised:
            builder.build_specs([traced], tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.code is ErrorCode.WRITE_FAILED
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_cannot_be_met(traced: BuildSpec, tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="expected at least 190 dB"):
        builder.build_specs([replace(traced, min_psnr=190)], tmp_path / "out")


def test_stages_are_told_in_order(traced: BuildSpec, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    builder.build_specs([traced], tmp_path / "out", progress=lambda *stage: told.append(stage))
    assert [done for _, done, _ in told] == [0, 1, 2, 3, 4]
    assert {total for _, _, total in told} == {4}
    assert told[-1] == ("done", 4, 4)


def test_half_precision_is_in_the_graph(traced: BuildSpec, tmp_path: Path) -> None:
    manifest = builder.build_specs([replace(traced, precision="fp16")], tmp_path / "out")
    (graph,) = manifest.graphs
    assert graph.precision == "fp16"
    assert 1e-5 < graph.parity.latent_rms <= graph.tolerance.latent_rms == 2e-2
    assert 40 <= graph.parity.image_psnr_db < 100
    model = ir.load(tmp_path / "out" / graph.path)
    layers = [node for node in model.graph if node.op_type in ("Conv", "LayerNormalization", "Softmax")]
    assert {node.outputs[0].dtype for node in layers} == {ir.DataType.FLOAT16}
    assert all(check.ok for check in checks(tmp_path / "out"))


def test_bfloat16_is_compared_by_imitation_and_refused_where_it_has_no_kernels(
    traced: BuildSpec, tmp_path: Path
) -> None:
    (graph,) = builder.build_specs([replace(traced, precision="bf16")], tmp_path / "out").graphs
    assert 1e-4 < graph.parity.latent_rms <= graph.tolerance.latent_rms == 2e-2, "eight bits of precision, not eleven"
    assert ir.load(tmp_path / "out" / graph.path).opset_imports[""] == 22
    with pytest.raises(CodiError, match=r"computes in bf16, for which onnxruntime has no kernels on provider 'cpu'"):
        codi_export.load(tmp_path / "out")
    with pytest.raises(CodiError, match=r"opset 22; JetPack 6\.1 .* TensorRT 10\.3, which reads up to 20") as raised:
        builder.build_specs([replace(traced, precision="bf16", target="jetson-orin-nano-8gb")], tmp_path / "jetson")
    assert "--precision fp16" in raised.value.hint


def test_weights_are_stored_as_half_and_what_that_costs_is_told(built: tuple[Path, Manifest]) -> None:
    folder, manifest = built
    for name in ("backbone", "sr"):
        tensors = safetensors.numpy.load_file(folder / f"graphs/{name}.safetensors")
        assert {str(tensor.dtype) for tensor in tensors.values()} == {"float16"}
    for graph in manifest.graphs:
        assert 0 < graph.storage.latent_rms < 2e-2, "random weights are no half-precision numbers"


RACES = {"onnxruntime": (1.2, 46.0), "openvino": (0.6, 46.0), "openvino-bf16": (0.4, 30.0)}  # time, dB


def test_int8_is_for_layers_and_not_for_all_of_them(
    traced: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "race", lambda paths, inputs, backend: RACES[backend])
    (graph,) = builder.build_specs([replace(traced, precision="int8")], tmp_path / "out").graphs
    assert graph.speed == {"onnxruntime": 1.2, "openvino": 0.6}, "what is too far off is none"
    assert 1e-3 < graph.parity.latent_rms <= graph.tolerance.latent_rms
    names = {entry.path for entry in bundle.read_manifest(tmp_path / "out").files}
    assert "graphs/backbone.int8.safetensors" in names and "graphs/backbone.safetensors" not in names
    kinds = {str(one.dtype) for one in safetensors.numpy.load_file(tmp_path / "out/graphs/sr.safetensors").values()}
    assert kinds == {"int8", "float16", "float32"}, "weights, biases, scales"
    assert all(check.ok for check in checks(tmp_path / "out"))
    assert not (tmp_path / "out/narrowing").exists()


def test_weights_alone_in_int8_are_kept_if_that_is_smaller_and_as_fast(
    traced: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The toy is more nodes than weights: as it is, it saves too little."""
    monkeypatch.setattr(apart, "race", lambda paths, inputs, backend: (1.02, 50.0))
    out = tmp_path / "out"
    command = ["build", "--task", "sr", "--steps", "1", "--model", traced.model, "--adapter", *traced.adapters]
    command += ["--prompt", str(traced.prompt), "--precision", "int8-weights", "-o", str(out)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "must stay wide in int8-weights? wanted: at least 38.0 dB" in said and ": nothing wide" in said
    assert "int8-weights saves too little" in said and not out.exists()
    monkeypatch.setattr(narrowing, "SMALLER", 1)
    assert main(command) == 0
    assert "MB with weights in float16" in capsys.readouterr().err
    assert main(["verify", str(out)]) == 0
    (graph,) = bundle.read_manifest(out).graphs
    assert set(graph.speed.values()) == {1.02}
    weights = safetensors.numpy.load_file(out / "graphs/backbone.int8.safetensors")
    assert weights["unet.conv_in.weight_int8"].dtype == np.int8 and "unet.conv_in.weight" not in weights
    monkeypatch.setattr(apart, "race", lambda paths, inputs, backend: (1.04, 50.0))
    assert main([*command, "--overwrite"]) == 1
    assert "int8-weights may take 1.03 of fp32's time" in capsys.readouterr().err


def test_int8_that_is_slower_is_refused_with_the_figures(
    traced: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "race", lambda paths, inputs, backend: (1.25, 46.0))
    with pytest.raises(CodiError, match=r"may take 0\.95 .*onnxruntime 1\.25 times its time \(46 dB\)") as raised:
        builder.build_specs([replace(traced, precision="int8")], tmp_path / "out")
    assert raised.value.code is ErrorCode.NO_GAIN
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_nobody_would_look_at_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="--calibration photos has no effect: the graph computes in fp32"):
        builder.build_specs([BuildSpec("sr", (1,), calibration="photos")], tmp_path / "out")
