"""What stays wide: the search on made-up costs, and a model of which one layer is too large for float16."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import codi_export
from codi_export.cli.main import main
from codi_export.errors import CodiError, ErrorCode
from codi_export.narrowing import search, spends
from codi_export.spec import TOLERANCES, AdapterSpec, Parity
from tests import tiny

COSTS = {"unet.a.0": 0.01, "unet.a.1": 3.0, "unet.b": 0.01, "vae.encoder": 0.02, "vae.decoder.in": 0.01}


def spent(islands: frozenset[str]) -> float:
    """What the layers that are in no island cost, added up."""
    inside = {name for name in COSTS for one in islands if name == one or name.startswith(f"{one}.")}
    return sum(cost for name, cost in COSTS.items() if name not in inside)


def test_the_costly_layer_is_found() -> None:
    assert search(COSTS, spent) == {"unet.a.1"}


def test_nothing_stays_wide_without_need() -> None:
    assert search(["unet.a.0", "unet.b"], lambda _: 0.1) == frozenset()
    assert search(COSTS, spent, frozenset({"unet.a.1"})) == {"unet.a.1"}


def test_parts_that_are_cheap_alone_and_costly_together_are_looked_at_again() -> None:
    """Four at 0.12 each, below the first share, and 0.48 with them: over the window only with a fifth."""
    costs = {f"unet.{letter}": 0.12 for letter in "abcde"}

    def together(islands: frozenset[str]) -> float:
        return sum(cost for name, cost in costs.items() if name not in islands)

    assert search(costs, together) == set(costs)


def test_what_nothing_helps_says_so() -> None:
    with pytest.raises(CodiError, match="2 of 2 layers left in float") as raised:
        search(["unet.a", "unet.b"], lambda _: 9.0)
    assert raised.value.code is ErrorCode.PARITY


def test_limits_are_spent_in_squared_error() -> None:
    limit = TOLERANCES["int8"]
    assert spends(Parity(limit.image_psnr_db, 0.0, 9), limit) == pytest.approx(1)
    assert spends(Parity(limit.image_psnr_db + 10, 0.0, 9), limit) == pytest.approx(0.1)
    assert spends(Parity(200.0, 2 * limit.latent_rms, 9), limit) == pytest.approx(4)


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The toy with a decoder that passes numbers around 10^6 from one layer to a normalisation, which undoes that."""
    root = tmp_path_factory.mktemp("overflow")
    model = tiny.backbone(root / "model")
    path = model / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    for part in ("weight", "bias"):
        name = f"decoder.mid_block.resnets.0.conv1.{part}"
        weights[name] = (weights[name] * 1e5).clamp(-6e4, 6e4).to(torch.float32)
    save_file(weights, path)
    return model, tiny.adapter(root / "adapter", model, AdapterSpec("sr"))


def test_a_layer_that_overflows_stays_in_float32(
    overflowing: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, adapter = map(str, overflowing)
    manifest = codi_export.build("sr", 1, tmp_path / "out", model=model, adapter=adapter, precision="fp16")
    (graph,) = manifest.graphs
    assert graph.parity.image_psnr_db >= 40
    assert any("decoder.mid_block.resnets.0.conv1" in island for island in graph.islands)
    assert all("decoder.mid_block" in island for island in graph.islands), "and no other does"
    assert main(["inspect", str(tmp_path / "out")]) == 0
    assert "decoder.mid_block.resnets.0.conv1" in capsys.readouterr().out
