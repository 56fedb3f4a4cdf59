"""Weights on disk: once, aligned, and exchangeable."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import safetensors.numpy

from codi_export import files, registry
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import passes, store
from codi_export.graph.unroll import probes, unroll
from codi_export.model import adapter as adapters
from codi_export.model import reference
from codi_export.recipe import prepare
from codi_export.spec import BuildSpec
from tests import tiny

SAMPLER = registry.get("samplers", "prev")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy `epsilon` at 1 and 2 steps."""
    out, exported = tmp_path_factory.mktemp("graphs"), tiny.exported("epsilon")
    store.save_weights(exported.models, out, "sr")
    for schedule in tiny.recipe("epsilon").schedules[:2]:
        model = unroll(exported, schedule, SAMPLER, "sr")
        passes.run(model)
        store.save(model, out / f"sr-{len(schedule)}step.onnx")
    return out


def test_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "backbone.safetensors",
        "sr-1step.onnx",
        "sr-1step.safetensors",
        "sr-2step.onnx",
        "sr-2step.safetensors",
        "sr.safetensors",
    ]


def test_the_safetensors_library_reads_them(folder: Path) -> None:
    """The adapter's file holds the adapter and nothing else; each value is the folder's own."""
    stored = safetensors.numpy.load_file(folder / "sr.safetensors")
    own = tiny.recipe("epsilon").adapters[0].net.state_dict()
    assert set(stored) == {f"adapter.{name}" for name in own}
    for name, tensor in own.items():
        np.testing.assert_array_equal(stored[f"adapter.{name}"], tensor.numpy())
    parts = {name.partition(".")[0] for name in safetensors.numpy.load_file(folder / "backbone.safetensors")}
    assert parts == {"unet", "vae"}


def test_headers_are_padded_and_bare(folder: Path) -> None:
    for path in folder.glob("*.safetensors"):
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        assert (8 + length) % store.PAGE == 0
        assert "__metadata__" not in json.loads(data[8 : 8 + length])


def test_graphs_hold_no_weights(folder: Path) -> None:
    """Every tensor of some size lies in a file, and both graphs point at the same places."""
    places = []
    for steps in (1, 2):
        values = ir.load(folder / f"sr-{steps}step.onnx").graph.initializers
        outside = {name: v.const_value for name, v in values.items() if isinstance(v.const_value, ir.ExternalTensor)}
        assert all(v.const_value.nbytes <= store.INLINE for name, v in values.items() if name not in outside)
        places.append({name: (t.location, t.offset, t.length) for name, t in outside.items() if store.is_weight(name)})
    assert places[0] == places[1]


def test_equal_layouts_have_equal_hashes(tmp_path: Path) -> None:
    ones, zeros = (
        {"b": ir.tensor(fill((3, 2), np.float32)), "a": ir.tensor(fill(2, np.float32))} for fill in (np.ones, np.zeros)
    )
    store.write(tmp_path / "ones", ones)
    store.write(tmp_path / "zeros", dict(reversed(zeros.items())))
    store.write(tmp_path / "other", {**ones, "c": ones["a"]})
    hashes = [files.layout(tmp_path / name) for name in ("ones", "zeros", "other")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_files_are_never_overwritten(tmp_path: Path) -> None:
    """A graph called like its task would write its own tensors over the adapter's."""
    tensors = {"a": ir.tensor(np.ones(2, np.float32))}
    store.write(tmp_path / "one.safetensors", tensors)
    with pytest.raises(FileExistsError):
        store.write(tmp_path / "one.safetensors", tensors)


def test_a_file_is_shared_by_those_who_would_write_the_same(tmp_path: Path) -> None:
    path, ones = tmp_path / "backbone.safetensors", {"unet.a": ir.tensor(np.ones(2, np.float32))}
    places = [(t.location, t.offset, t.length) for _ in range(2) for t in store.share(path, ones).values()]  # type: ignore[attr-defined]
    assert places[0] == places[1]
    before = path.read_bytes()
    for other in ({"unet.a": ir.tensor(np.zeros(2, np.float32))}, {"unet.b": ones["unet.a"]}):
        with pytest.raises(CodiError, match=r"backbone\.safetensors holds other weights than this build") as raised:
            store.share(path, other)
        assert raised.value.code is ErrorCode.BAD_OPTION
    assert path.read_bytes() == before


def test_quantised_graphs_keep_what_another_tasks_file_lacks(tmp_path: Path) -> None:
    """Each task leaves other layers in float; what both have is stored once, the rest with the graph."""

    def quantised(*names: str) -> ir.Model:
        values = [ir.Value(name=f"unet.{name}", const_value=ir.tensor(np.ones(99, np.int8))) for name in names]
        for value in values:
            value.dtype = ir.DataType.INT8
        return ir.Model(ir.Graph([], [], nodes=[], initializers=values, name="-".join(names)), ir_version=10)

    first, second = quantised("a", "b"), quantised("b", "c")
    for model in (first, second):
        store.save_weights([model], tmp_path, "sr")
    size, found = (tmp_path / "backbone.int8.safetensors").stat().st_size, second.graph.initializers
    assert isinstance(found["unet.b"].const_value, ir.ExternalTensor)
    assert not isinstance(found["unet.c"].const_value, ir.ExternalTensor)
    store.save_weights([quantised("a")], tmp_path, "depth")
    assert size == (tmp_path / "backbone.int8.safetensors").stat().st_size


def test_each_tensor_is_aligned(tmp_path: Path) -> None:
    tensors = {
        "a": ir.tensor(np.ones(3, np.uint8)),
        "b": ir.tensor(np.ones(1, np.int64)),
        "c": ir.tensor(np.ones(1, np.float32)),
    }
    for tensor in store.write(tmp_path / "mixed.safetensors", tensors).values():
        assert isinstance(tensor, ir.ExternalTensor)
        assert tensor.offset is not None
        assert tensor.offset % tensor.dtype.itemsize == 0
        assert tensor.numpy().all()


def test_swapping_the_adapters_file_swaps_the_adapter(folder: Path, tmp_path: Path) -> None:
    """Another adapter, only its file written anew: the untouched graph becomes the torch pipeline with that adapter."""
    recipe = tiny.recipe("epsilon")
    net = adapters.new(recipe.backbone, "pixels", width=16)
    for index, weight in enumerate(net.parameters()):
        weight.data += 0.02 * (-1) ** index
    adapters.save(net, recipe.facts, tmp_path / "other")
    other = prepare(BuildSpec("sr", (2,), recipe.spec.model, (str(tmp_path / "other"),), prompt=recipe.spec.prompt))
    swapped = shutil.copytree(folder, tmp_path / "graphs")
    (swapped / "sr.safetensors").unlink()
    store.write(
        swapped / "sr.safetensors",
        {f"adapter.{name}": ir.tensor(tensor.numpy()) for name, tensor in other.adapters[0].net.state_dict().items()},
    )
    assert files.layout(swapped / "sr.safetensors") == files.layout(folder / "sr.safetensors")

    schedule, (image, noise) = other.schedules[0], tiny.inputs("epsilon")
    store.save_probe(swapped / "sr-2step.onnx", swapped / "probe.onnx", probes(schedule))
    run = registry.get("backends", "onnxruntime").open(swapped / "probe.onnx", "cpu", 1)
    x = run({"image": image, "noise": noise})["step2/x"]
    want, before = (
        reference.run(r.pieces(), schedule, SAMPLER, {"image": image, "noise": noise})[2][-1] for r in (other, recipe)
    )
    np.testing.assert_allclose(x, want, rtol=0, atol=1e-4 * want.std())  # a thousand float32 roundings
    assert np.abs(want - before).max() > 0.1 * want.std(), "the two adapters must differ for this to mean anything"
