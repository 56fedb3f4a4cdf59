"""A seeded torch network, written as Flax would have, comes back; every misfit is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from codi_export.errors import CodiError
from codi_export.model import backbone as backbones
from codi_export.model import flax_tree, from_flax
from codi_export.schedule import grid_timesteps
from tests import flax_files, tiny

# One of each kind, by hand: parameters of FlaxControlNetModel, and of diffusers' ControlNetModel.
NAMES = {
    "conv_in.kernel": "conv_in.weight",
    "time_embedding.linear_1.kernel": "time_embedding.linear_1.weight",
    "controlnet_cond_embedding.blocks_3.bias": "controlnet_cond_embedding.blocks.3.bias",
    "controlnet_down_blocks_2.kernel": "controlnet_down_blocks.2.weight",
    "controlnet_mid_block.bias": "controlnet_mid_block.bias",
    "down_blocks_0.resnets_0.norm1.scale": "down_blocks.0.resnets.0.norm1.weight",
    "down_blocks_0.resnets_0.time_emb_proj.kernel": "down_blocks.0.resnets.0.time_emb_proj.weight",
    "down_blocks_0.downsamplers_0.conv.kernel": "down_blocks.0.downsamplers.0.conv.weight",
    "down_blocks_1.resnets_0.conv_shortcut.kernel": "down_blocks.1.resnets.0.conv_shortcut.weight",
    "mid_block.attentions_0.proj_in.kernel": "mid_block.attentions.0.proj_in.weight",
    "mid_block.attentions_0.transformer_blocks_0.norm3.scale": (
        "mid_block.attentions.0.transformer_blocks.0.norm3.weight"
    ),
    "mid_block.attentions_0.transformer_blocks_0.attn2.to_out_0.kernel": (
        "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0.weight"
    ),
    "mid_block.attentions_0.transformer_blocks_0.ff.net_0.proj.kernel": (
        "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.weight"
    ),
    "mid_block.attentions_0.transformer_blocks_0.ff.net_2.bias": (
        "mid_block.attentions.0.transformer_blocks.0.ff.net.2.bias"
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("model"), width=32)


@pytest.fixture(scope="module")
def whole(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flax_files.write(flax_files.controlnet(model), tmp_path_factory.mktemp("flax") / "whole")


@pytest.fixture
def edited(whole: Path, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], Path]:
    """The checkpoint with its tree changed."""

    def edit(change: Callable[[dict[str, Any]], object]) -> Path:
        net = from_flax.load(whole, None)
        tree = flax_files.tree(net)
        change(tree)
        folder = tmp_path / "edited"
        shutil.copytree(whole, folder)
        (folder / "diffusion_flax_model.msgpack").write_bytes(flax_files.pack(tree))
        return folder

    return edit


def assert_same(net: torch.nn.Module, wanted: torch.nn.Module) -> None:
    assert net.state_dict().keys() == wanted.state_dict().keys()
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name


def test_every_tensor_comes_back(model: Path, whole: Path) -> None:
    net, wanted = from_flax.load(whole, None), flax_files.controlnet(model)
    assert_same(net, wanted)
    z, condition, prompt = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 32, 32), torch.randn(1, 6, tiny.TEXT_WIDTH)
    with torch.no_grad():
        outputs = [n(z, torch.tensor([480]), prompt, condition).mid_block_res_sample for n in (net, wanted)]
    assert torch.equal(*outputs)


def test_without_a_config_the_backbone_tells_the_shape(model: Path, tmp_path: Path) -> None:
    """All but the widths of the condition embedding: those are Flax's own."""
    wanted = flax_files.controlnet(model, (16, 32, 96, 256))
    folder = flax_files.write(wanted, tmp_path / "flax", "checkpoint")
    (folder / "config.json").unlink()
    assert_same(from_flax.load(folder, backbones.load(model)), wanted)


def test_names_are_those_of_flax(whole: Path) -> None:
    arrays, state = flax_tree.read(whole), from_flax.load(whole, None).state_dict()
    for flax, name in NAMES.items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[arrays[flax].ndim]
        assert np.array_equal(state[name].numpy(), arrays[flax].transpose(axes)), flax


def test_a_dense_layer_multiplies_as_in_flax(whole: Path) -> None:
    """Flax: y = x @ kernel + bias."""
    arrays, net = flax_tree.read(whole), from_flax.load(whole, None)
    kernel, bias = (arrays[f"time_embedding.linear_2.{part}"] for part in ("kernel", "bias"))
    assert kernel.shape == (128, 128)  # which would not tell a missing transpose
    x = np.random.default_rng(0).standard_normal((2, 128), np.float32)
    made = net.time_embedding.linear_2(torch.from_numpy(x)).numpy()
    assert np.allclose(made, x @ kernel + bias, atol=1e-4)  # float32 sums of 128 terms near 0.1


def test_a_convolution_slides_as_in_flax(whole: Path) -> None:
    """Flax: y[i, j, out] = sum of x[i + di, j + dj, in] kernel[di, dj, in, out], on x padded by 1."""
    arrays, net = flax_tree.read(whole), from_flax.load(whole, None)
    kernel, bias = (arrays[f"down_blocks_0.resnets_0.conv2.{part}"] for part in ("kernel", "bias"))
    assert kernel.shape == (3, 3, 32, 32)
    x = np.random.default_rng(0).standard_normal((5, 7, 32), np.float32)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    y = sum(padded[di : di + 5, dj : dj + 7] @ kernel[di, dj] for di in range(3) for dj in range(3)) + bias
    made = net.down_blocks[0].resnets[0].conv2(torch.from_numpy(x).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.allclose(made.numpy(), y, atol=1e-4)  # float32 sums of 288 terms near 0.1


def no_norm(tree: dict[str, Any]) -> None:
    del tree["mid_block"]["resnets_0"]["norm1"]


def another(tree: dict[str, Any]) -> None:
    tree["mid_block"]["extra"] = tree["conv_in"]


def turned(tree: dict[str, Any]) -> None:
    block = tree["mid_block"]["attentions_0"]["transformer_blocks_0"]["attn2"]["to_k"]
    block["kernel"] = np.ascontiguousarray(block["kernel"].T)


def replicated(tree: dict[str, Any]) -> None:
    tree["conv_in"]["bias"] = tree["conv_in"]["bias"][None].copy()


def infinite(tree: dict[str, Any]) -> None:
    tree["conv_in"]["bias"] = np.full_like(tree["conv_in"]["bias"], 7e4)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_norm, "it lacks mid_block.resnets_0.norm1.bias, mid_block.resnets_0.norm1.scale$"),
        (another, "nothing takes mid_block.extra.bias, mid_block.extra.kernel$"),
        (lambda tree: tree.pop("mid_block"), r"it lacks mid_block.* and \d+ more$"),
        (turned, r"to_k.kernel has shape \[64, 16\], expected \[16, 64\]$"),
        (replicated, r"conv_in.bias has shape \[1, 32\], expected \[32\]$"),
        (infinite, "conv_in.bias holds values that fp16 cannot"),
    ],
)
def test_a_misfit_is_named(
    edited: Callable[[Callable[[dict[str, Any]], object]], Path], change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with pytest.raises(CodiError, match=says):
        from_flax.load(edited(change), None)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "is not a JSON object"),
        ("[1]", "is not a JSON object"),
        (json.dumps({"block_out_channels": [31, 62, 62, 62]}), "no ControlNet has such a config"),
        (json.dumps({"block_out_channels": "wide"}), "no ControlNet has such a config"),
        (json.dumps({"down_block_types": [1, 2, 3, 4]}), "no ControlNet has such a config"),
        ("{}", "does not fill the ControlNet of its config"),
    ],
)
def test_a_config_of_nothing(whole: Path, tmp_path: Path, config: str, says: str) -> None:
    folder = tmp_path / "other"
    shutil.copytree(whole, folder)
    (folder / "config.json").write_text(config)
    with pytest.raises(CodiError, match=says):
        from_flax.load(folder, None)


def test_no_config_and_no_backbone(whole: Path, tmp_path: Path) -> None:
    shutil.copy(whole / "diffusion_flax_model.msgpack", tmp_path)
    with pytest.raises(CodiError, match=r"no .*config.json, so the network's shape is unknown"):
        from_flax.load(tmp_path, None)


@pytest.mark.parametrize(
    ("points", "lists"),
    [
        (50, {"1": (980,), "2": (980, 480), "3": (980, 640, 300), "4": (980, 720, 460, 200)}),
        (20, {"1": (950,), "2": (950, 450), "3": (950, 600, 250), "4": (950, 700, 450, 200)}),
    ],
)
def test_the_grid_is_fast_codis(points: int, lists: dict[str, tuple[int, ...]]) -> None:
    facts = from_flax.facts("canny", points)
    assert (facts.L, facts.gap, facts.predictor, facts.timesteps) == (points, 1000 // points, "ddim", lists)
    assert grid_timesteps(points, facts) == tuple(range(1000 - facts.gap, -1, -facts.gap))
