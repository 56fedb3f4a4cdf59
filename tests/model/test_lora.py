"""Low-rank changes to a U-Net."""

import copy
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import LORA
from codi_export.model import backbone as backbones
from codi_export.model import lora
from codi_export.model.text import load_text
from tests import tiny

Z, T, PROMPT = torch.randn(1, 4, 8, 8), torch.tensor(499), torch.randn(1, tiny.TOKENS, tiny.TEXT_WIDTH)


def unet() -> UNet2DConditionModel:
    return copy.deepcopy(tiny.recipe("epsilon").backbone.unet)


def changed(seed: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    one = lora.add(unet(), rank=2)
    for name, parameter in one.named_parameters():
        if name.endswith(".B"):
            torch.nn.init.normal_(parameter, std=0.1)
    return one


@torch.no_grad()
def test_untrained_changes_nothing() -> None:
    torch.testing.assert_close(lora.add(unet(), 2)(Z, T, PROMPT).sample, unet()(Z, T, PROMPT).sample, rtol=0, atol=0)


def test_only_the_change_is_trained() -> None:
    trained = {name.rpartition(".")[2] for name, p in lora.add(unet(), 2).named_parameters() if p.requires_grad}
    assert trained == {"A", "B"}


@torch.no_grad()
def test_merged_is_the_same_network(tmp_path: Path) -> None:
    one = changed()
    lora.save(one, tmp_path)
    merged = lora.merge(unet(), tmp_path / LORA)
    assert merged.state_dict().keys() == unet().state_dict().keys()
    wanted = one(Z, T, PROMPT).sample
    torch.testing.assert_close(merged(Z, T, PROMPT).sample, wanted, rtol=1e-2, atol=1e-2)  # fp16 in the file
    assert (wanted - unet()(Z, T, PROMPT).sample).abs().max() > 0.1


@torch.no_grad()
def test_the_file_holds_two_layers_in_a_row(tmp_path: Path) -> None:
    """As diffusers and peft read it: A is a layer of its own, B another behind it."""
    one = changed()
    lora.save(one, tmp_path)
    parts = {key: value.float() for key, value in load_file(tmp_path / LORA).items()}
    first, second = (parts[f"unet.conv_in.lora_{part}.weight"] for part in "AB")
    side_way = F.conv2d(F.conv2d(Z, first, padding=1), second)
    torch.testing.assert_close(unet().conv_in(Z) + side_way, one.conv_in(Z), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("key", "shape", "said"),
    [
        ("unet.nowhere.lora_A.weight", (2, 4), "'unet.nowhere.lora_A.weight' names no layer"),
        ("unet.conv_in.lora_A.weight", (2, 4, 3, 3), r"conv_in has \{'A': \(2, 36\)\} for a weight"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, key: str, shape: tuple[int, ...], said: str) -> None:
    save_file({key: torch.zeros(shape)}, tmp_path / LORA)
    with pytest.raises(CodiError, match=said) as raised:
        lora.merge(unet(), tmp_path / LORA)
    assert raised.value.code is ErrorCode.BAD_MODEL


BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
LAYERS = {  # by its own name, the layer as kohya, peft and diffusers (once) write it
    "conv_in": ("lora_unet_conv_in", "base_model.model.conv_in", "unet.conv_in.lora"),
    f"{BLOCK}.to_q": (
        f"lora_unet_{BLOCK.replace('.', '_')}_to_q",
        f"unet.{BLOCK}.to_q",
        f"unet.{BLOCK}.processor.to_q_lora",
    ),
    f"{BLOCK}.to_out.0": (
        f"lora_unet_{BLOCK.replace('.', '_')}_to_out_0",
        f"{BLOCK}.to_out.0",
        f"unet.{BLOCK}.processor.to_out_lora",
    ),
}
PARTS = (("lora_down", "lora_up"), ("lora_A", "lora_B"), ("down", "up"))  # of these forms


@torch.no_grad()
@pytest.mark.parametrize(("form", "alpha"), [(0, 6.0), (0, None), (1, None), (2, None)])
def test_files_of_others(tmp_path: Path, form: int, alpha: float | None) -> None:
    """W + scale alpha / rank B A, whatever the keys; without an alpha the quotient is 1."""
    torch.manual_seed(0)
    tensors, wanted = {}, unet().state_dict()
    for name, forms in LAYERS.items():
        weight = wanted[f"{name}.weight"]
        pair = torch.randn(2, *weight.shape[1:]), torch.randn(len(weight), 2, *(1 for _ in weight.shape[2:]))
        tensors |= {f"{forms[form]}.{part}.weight": one for part, one in zip(PARTS[form], pair, strict=True)}
        if alpha:
            tensors[f"{forms[form]}.alpha"] = torch.tensor(alpha)
        change = (pair[1].flatten(1) @ pair[0].flatten(1)).view_as(weight)
        wanted[f"{name}.weight"] = weight + 0.5 * (alpha / 2 if alpha else 1.0) * change
    save_file(tensors, tmp_path / "lora.safetensors")
    for name, value in lora.merge(unet(), tmp_path / "lora.safetensors", 0.5).state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    "layer", ["lora_te_text_model_encoder_layers_0_mlp_fc1", "text_encoder.encoder.layers.0.mlp.fc1"]
)
def test_a_text_encoder_is_changed_by_its_own_keys(tmp_path: Path, layer: str) -> None:
    folder, file = tiny.recipe("epsilon").backbone.folder, tmp_path / "lora.safetensors"
    name = "encoder.layers.0.mlp.fc1"
    weight = load_text(folder).encoder.get_submodule(name).weight
    down, up = torch.randn(2, weight.shape[1]), torch.randn(len(weight), 2)
    save_file({f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}, file)
    changed = load_text(folder, [f"{file}:2"]).encoder.get_submodule(name).weight
    torch.testing.assert_close(changed, weight + 2 * up @ down)
    loaded = backbones.load(folder, [str(file)]).unet.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in unet().state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("beside", [True, False])
def test_an_alpha_that_stands_elsewhere(tmp_path: Path, beside: bool) -> None:
    """peft writes it beside the file, diffusers into the file's header."""
    down, up = torch.randn(2, 4, 3, 3), torch.randn(16, 2, 1, 1)
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 6, "text_encoder.lora_alpha": 1})}
    pair = {"unet.conv_in.lora_A.weight": down, "unet.conv_in.lora_B.weight": up}
    save_file(pair, tmp_path / LORA, None if beside else metadata)
    if beside:
        (tmp_path / lora.PEFT_SETTINGS).write_text(json.dumps({"r": 2, "lora_alpha": 6, "alpha_pattern": {}}))
    weight = unet().conv_in.weight
    wanted = weight + 3 * (up.flatten(1) @ down.flatten(1)).view_as(weight)
    torch.testing.assert_close(lora.merge(unet(), tmp_path / LORA).conv_in.weight, wanted)


def test_a_change_of_another_kind_is_refused(tmp_path: Path) -> None:
    pair = {"unet.conv_in.lora_A.weight": torch.zeros(2, 4, 3, 3), "unet.conv_in.lora_B.weight": torch.zeros(32, 2)}
    save_file(pair, tmp_path / LORA)
    (tmp_path / lora.PEFT_SETTINGS).write_text(json.dumps({"lora_alpha": 2, "use_dora": True}))
    with pytest.raises(CodiError, match="was made with use_dora, which is not read"):
        lora.merge(unet(), tmp_path / LORA)


def test_keys_that_match_nothing_are_listed(tmp_path: Path) -> None:
    keys = [f"lora_unet_nowhere_{index}.lora_down.weight" for index in range(5)]
    save_file({key: torch.zeros(2, 2) for key in keys}, tmp_path / LORA)
    said = f"'{keys[0]}', '{keys[1]}', '{keys[2]}' and 2 more keys name no layer of the unet"
    with pytest.raises(CodiError, match=said):
        lora.merge(unet(), tmp_path / LORA)


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / LORA).write_bytes(b"\x10\x00")
    with pytest.raises(CodiError, match="is no safetensors file"):
        lora.merge(unet(), tmp_path / LORA)
