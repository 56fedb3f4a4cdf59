"""What was traced once: found again by what it depends on, and by nothing else."""

import json
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from onnx_ir.tensor_adapters import TorchTensor
from torch import Tensor, nn

import codi_export
from codi_export.cli.main import main
from codi_export.graph import cache as caches
from codi_export.graph.cache import Cache
from codi_export.graph.export import trace
from codi_export.spec import AdapterSpec
from tests import tiny


class Toy(nn.Module):
    """A weight, a constant that is not saved, and a setting."""

    def __init__(self, weight: float, constant: float = 1.0, factor: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 100), weight))
        self.register_buffer("constant", torch.full((3, 100), constant), persistent=False)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.constant, Tensor)
        return self.factor * x + self.weight + self.constant


X = {"x": torch.zeros(3, 100)}


def traced(cache: Cache, module: nn.Module) -> ir.Model:
    return trace("toy", module, X, ("y",), cache)


def weight(model: ir.Model) -> float:
    value = model.graph.initializers["weight"].const_value
    assert value is not None
    return float(value.numpy()[0, 0])


def test_other_weights_read_the_same_graph(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "sr")
    first, second = traced(cache, Toy(1.0)), traced(cache, Toy(5.0))
    assert [(one.piece, one.reused) for one in cache.lookups] == [("sr/toy", False), ("sr/toy", True)]
    assert (weight(first), weight(second)) == (1.0, 5.0)
    assert [node.op_type for node in first.graph] == [node.op_type for node in second.graph]
    assert sum(file.stat().st_size for file in tmp_path.glob("*.onnx")) < 2 * 3 * 100 * 4, "the constant alone is kept"


@pytest.mark.parametrize("other", [Toy(1.0, constant=2.0), Toy(1.0, factor=3), nn.Sequential(Toy(1.0))])
def test_what_the_graph_depends_on_makes_another(tmp_path: Path, other: nn.Module) -> None:
    cache = Cache(tmp_path)
    traced(cache, Toy(1.0))
    traced(cache, other)
    assert [one.reused for one in cache.lookups] == [False, False]
    assert cache.lookups[0].reason == "never traced before"


def test_it_says_what_differs(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for factor in (2, 3):
        traced(cache, Toy(1.0, factor=factor))
    assert cache.lookups[1].reason == "factor: 2 -> 3"


def test_damage_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    traced(cache, Toy(1.0))
    graph = next(tmp_path.glob("*.onnx"))
    graph.write_bytes(graph.read_bytes()[:-1])
    assert weight(traced(cache, Toy(2.0))) == 2.0
    assert cache.lookups[1].reason.endswith("is damaged")
    next(tmp_path.glob("*.json")).write_text("[")
    traced(cache, Toy(2.0))
    assert [one.reused for one in cache.lookups] == [False] * 3
    traced(cache, Toy(2.0))
    assert cache.lookups[3].reused, "and was written anew"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file" / "cache")
    assert weight(traced(cache, Toy(1.0))) == 1.0
    assert not cache.lookups[0].reused


def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "KEPT", 2)
    cache = Cache(tmp_path)
    model, weights = traced(Cache(None), Toy(1.0)), {"weight": TorchTensor(torch.zeros(3, 100))}
    for index in range(4):
        cache.save("toy", {"number": str(index)}, model, weights)
    assert len(list(tmp_path.glob("*.json"))) == len(list(tmp_path.glob("*.onnx"))) == 2


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODI_CACHE", "/somewhere")
    assert caches.default().folder == Path("/somewhere")
    monkeypatch.delenv("CODI_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert caches.default().folder == Path("/caches/codi-export")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/me")
    assert caches.default().folder == Path("/me/.cache/codi-export")


def test_builds_with_and_without_are_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another number of steps, and an adapter with other weights, trace nothing."""
    monkeypatch.setenv("CODI_CACHE", str(tmp_path / "cache"))
    model = str(tiny.backbone(tmp_path / "model", "v_prediction", "tiny"))
    nets = [str(tiny.adapter(tmp_path / n, Path(model), AdapterSpec("depth"), seed)) for seed, n in enumerate("ab")]
    build = ["build", "--task", "depth", "--model", model, "--json", "--explain"]
    pieces = ["depth/condition", "depth/step", "depth/decode"]

    assert main([*build, "--steps", "1", "--adapter", nets[0], "-o", str(tmp_path / "one")]) == 0
    first = capsys.readouterr()
    assert json.loads(first.out)["reused"] == []
    assert "depth/step: traced: never traced before" in first.err
    assert main([*build, "--steps", "2", "--adapter", nets[1], "-o", str(tmp_path / "two")]) == 0
    assert json.loads(capsys.readouterr().out)["reused"] == pieces

    codi_export.build("depth", 2, tmp_path / "anew", model=model, adapter=nets[1], cache=False)
    for file in (tmp_path / "anew" / "graphs").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / "graphs" / file.name).read_bytes(), file.name
    assert main([*build, "--width", "64", "--adapter", nets[0], "-o", str(tmp_path / "wide"), "--dry-run"]) == 0
    capsys.readouterr()
    assert main([*build, "--guidance", "2", "--adapter", nets[0], "-o", str(tmp_path / "guided")]) == 0
    guided = capsys.readouterr()
    assert json.loads(guided.out)["reused"] == ["depth/decode"]
    assert "depth/step: traced: guidance: 1.0 -> 2.0" in guided.err
