"""`--fuse none`: the same model as components, each equal to torch, and together the fused graph."""

import functools
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from codi_export import apart, bundle, components, registry
from codi_export.builder import build_specs
from codi_export.cli.main import main
from codi_export.components import Facts
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import store
from codi_export.graph.cache import default
from codi_export.graph.unroll import probes
from codi_export.model import prediction
from codi_export.parity import relative_rms
from codi_export.recipe import prepare
from codi_export.spec import AdapterSpec, BuildSpec
from tests import shapes, tiny

ROOT = Path(__file__).parents[1]
OPTIMUM = ROOT / ".venv/interop/bin/python"
LAYOUT = {"text_encoder", "unet", "vae_decoder", "vae_encoder", "scheduler", "tokenizer", "model_index.json"}
OURS = {"condition", "finish", components.FACTS}

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> BuildSpec:
    """A v-model with a trunk's share of the estimate, which has to find its way into the prediction."""
    root = tmp_path_factory.mktemp("trained")
    model = tiny.backbone(root / "model", "v_prediction", "dc", zero_snr=True)
    net = tiny.adapter(root / "adapter", model, AdapterSpec("sr", condition="unshuffled", backprojection=0.5, trunk=1))
    return BuildSpec("sr", (2,), str(model), (str(net),))


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> BuildSpec:
    """What strangers have: noise is predicted, the ControlNet says nothing of itself, guidance is wanted."""
    root = tmp_path_factory.mktemp("ordinary")
    model = tiny.backbone(root / "model")
    net = tiny.plain_controlnet(root / "adapter", model, (4, 8, 12))
    return BuildSpec("depth", (2,), str(model), (str(net),), prompt="a photo of the sea", guidance=3.0)


def fused(spec: BuildSpec, folder: Path) -> tuple[Arrays, list[NDArray[Any]]]:
    """The fused graph's golden tensors, and what it gives at each step, and last."""
    build_specs([spec], folder, cache=default())
    graph, name = folder / f"graphs/{spec.graphs[0]}.onnx", spec.graphs[0]
    golden = load_file(folder / f"golden/{name}.safetensors")
    (schedule,) = (one.schedule for one in bundle.read_manifest(folder).graphs)
    store.save_probe(graph, probe := folder / "graphs/probe.onnx", probes(schedule))
    inputs = {name: array for name, array in golden.items() if name != "output"}
    values = apart.run(probe, [inputs])[0]
    return golden, [values[one] for one in probes(schedule)]


@dataclass(frozen=True)
class Made:
    """A spec both ways: components in `folder`, and the fused graph's golden tensors and values."""

    spec: BuildSpec
    folder: Path
    facts: Facts
    golden: Arrays
    wanted: list[NDArray[Any]]


@pytest.fixture(scope="module")
def made(trained: BuildSpec, ordinary: BuildSpec, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    @functools.cache
    def make(which: str) -> Made:
        root, spec = tmp_path_factory.mktemp("made"), trained if which == "trained" else ordinary
        golden, wanted = fused(spec, root / "bundle")
        return Made(spec, root / "parts", components.write([spec], root / "parts", cache=default()), golden, wanted)

    return make


def by_components(one: Made) -> list[NDArray[Any]]:
    """What the fused graph gives, by one session after the other."""

    def run(name: str, **given: NDArray[Any]) -> Arrays:
        session = onnxruntime.InferenceSession(one.folder / name / "model.onnx")
        outputs = session.run(None, {value.name: given[value.name] for value in session.get_inputs()})
        return dict(zip((value.name for value in session.get_outputs()), outputs, strict=True))

    recipe, guidance = prepare(one.spec), one.spec.guidance
    words, without, noise = recipe.prompt.words.numpy(), recipe.negative.words.numpy(), one.golden["noise"]
    both = guidance != 1
    condition = run("condition", image=one.golden["image"], prompt_embeds=words)
    prompts = np.concatenate([without, words]) if both else words
    steps, z, estimates = one.facts.schedules[0].steps, noise, []
    for now, then in zip(steps, (*steps[1:], None), strict=True):
        sample, t = np.concatenate([z, z]) if both else z, np.array(now.t)
        said = run("unet", sample=sample, timestep=t, encoder_hidden_states=prompts, **condition)["out_sample"]
        said = said[:1] + guidance * (said[1:] - said[:1]) if both else said
        x = prediction.to_x(recipe.backbone.prediction_type, said, z, now.alpha, now.sigma)
        estimates.append(x.astype(np.float32))
        if then:
            mix = registry.get("samplers", one.facts.sampler).update(now, then)
            z = (mix.x * x + mix.z * z + mix.noise * noise).astype(np.float32)
    latent = estimates[-1] / np.float32(recipe.backbone.vae.config.scaling_factor)
    picture = run("vae_decoder", latent_sample=latent)["sample"]
    return [*estimates, run("finish", sample=picture, seen=condition["seen"])["picture"]]


@pytest.mark.parametrize("which", ["trained", "ordinary"])
def test_piece_by_piece_they_are_the_fused_graph(which: str, made: Callable[[str], Made]) -> None:
    one = made(which)
    assert {path.name for path in one.folder.iterdir()} == LAYOUT | OURS
    assert all(part.rms < 1e-5 for part in one.facts.components)
    for got, want in zip(by_components(one), one.wanted, strict=True):
        assert relative_rms(got, want) < 1e-4, "the limit of a fused graph against torch"


def test_optimum_opens_them_and_makes_the_fused_graphs_picture(made: Callable[[str], Made], tmp_path: Path) -> None:
    """With its own scheduler, tokenizer and guidance; `make .venv/.interop` installs it."""
    if not OPTIMUM.is_file():
        pytest.skip("optimum has an environment of its own, which is not here: make .venv/.interop")
    one, arrays, output = made("ordinary"), tmp_path / "given.safetensors", tmp_path / "output.safetensors"
    save_file({name: one.golden[name] for name in ("image", "noise")}, arrays)
    words = [str(word) for word in (2, one.spec.prompt, one.spec.guidance)]
    script = [OPTIMUM, ROOT / "tests/interop/pipeline.py", one.folder, arrays, *words, output]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    difference = np.abs(load_file(output)["output"].astype(int) - one.golden["output"])
    assert difference.max() <= 1, "equal floats round to neighbours"


def test_the_command_writes_them_and_says_how_far_each_is_from_torch(
    trained: BuildSpec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "parts"
    words = ["build", "--task", "sr", "--model", trained.model, "--adapter", trained.adapters[0]]
    words += ["--fuse", "none", "--precision", "fp16"]
    assert main([*words, "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["folder"] == str(out)
    assert {one["name"] for one in report["components"]} == {path.parent.name for path in out.glob("*/model.onnx")}
    assert 1e-5 < max(one["rms"] for one in report["components"]) < 2e-2
    session = onnxruntime.InferenceSession(out / "unet/model.onnx")
    types = {one.type for one in (*session.get_inputs(), *session.get_outputs())}
    assert types == {"tensor(float)", "tensor(int64)"}, "what pipelines have, in half precision too"
    assert main([*words, "-o", str(out)]) == 1
    assert f"{out} exists" in capsys.readouterr().err


def test_only_components_are_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    for overwrite in (False, True):
        with pytest.raises(CodiError, match="exists"):
            components.prepare_output(tmp_path, overwrite)
    (tmp_path / components.FACTS).touch()
    components.prepare_output(tmp_path, overwrite=True)
    with pytest.raises(CodiError, match="exists"):
        components.prepare_output(tmp_path, overwrite=False)


def test_a_component_that_is_not_torchs_is_not_kept(
    trained: BuildSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = apart.run

    def worse(path: Path, inputs: Sequence[Arrays]) -> list[Arrays]:
        wrong = 1.01 if path.parent.name == "text_encoder" else 1
        return [{name: array * wrong for name, array in one.items()} for one in real(path, inputs)]

    monkeypatch.setattr(apart, "run", worse)
    with pytest.raises(CodiError, match=r"'text_encoder' differs from torch by 1\.0e-02") as caught:
        components.write([trained], tmp_path / "parts")
    assert caught.value.code is ErrorCode.PARITY
    assert list(tmp_path.iterdir()) == []


def test_what_they_cannot_be_is_refused_by_name(trained: BuildSpec, tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="--fuse none is for one task; got sr, sr"):
        components.write([trained, trained], tmp_path / "parts")
    with pytest.raises(CodiError, match="fp32 or fp16, not in bf16"):
        components.write([replace(trained, precision="bf16")], tmp_path / "parts")
    model = shapes.sdxl_shaped(tmp_path / "model")
    net = shapes.controlnet(tmp_path / "net", model)
    with pytest.raises(CodiError, match="two encoders"):
        components.write([BuildSpec("depth", (1,), str(model), (str(net),))], tmp_path / "parts")
