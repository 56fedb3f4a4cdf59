"""Low-rank changes to a U-Net."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import lora
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
    merged = lora.merge(unet(), tmp_path / lora.FILE)
    assert merged.state_dict().keys() == unet().state_dict().keys()
    wanted = one(Z, T, PROMPT).sample
    torch.testing.assert_close(merged(Z, T, PROMPT).sample, wanted, rtol=1e-2, atol=1e-2)  # fp16 in the file
    assert (wanted - unet()(Z, T, PROMPT).sample).abs().max() > 0.1


@torch.no_grad()
def test_the_file_holds_two_layers_in_a_row(tmp_path: Path) -> None:
    """As diffusers and peft read it: A is a layer of its own, B another behind it."""
    one = changed()
    lora.save(one, tmp_path)
    parts = {key: value.float() for key, value in load_file(tmp_path / lora.FILE).items()}
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
    save_file({key: torch.zeros(shape)}, tmp_path / lora.FILE)
    with pytest.raises(CodiError, match=said) as raised:
        lora.merge(unet(), tmp_path / lora.FILE)
    assert raised.value.code is ErrorCode.BAD_MODEL


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / lora.FILE).write_bytes(b"\x10\x00")
    with pytest.raises(CodiError, match="is no safetensors file"):
        lora.merge(unet(), tmp_path / lora.FILE)
