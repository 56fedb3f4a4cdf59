"""Low-rank changes to a U-Net (LoRA, arXiv 2106.09685): every weight becomes W + B A, under diffusers' key names."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codi_export.errors import CodiError, ErrorCode

FILE = "pytorch_lora_weights.safetensors"
KEY = re.compile(r"(?:unet\.)?(?P<layer>.+)\.lora_(?P<part>[AB])\.weight")


class LowRank(nn.Module):
    """W -> W + B A, W seen as [out, in]; B is zero at first, so that nothing changes until it is trained."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.B = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.A, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.B @ self.A).view_as(weight)


def add(unet: UNet2DConditionModel, rank: int) -> UNet2DConditionModel:
    """Give every convolution and linear layer a change of `rank` to train; all else in `unet` is frozen."""
    unet.requires_grad_(False)
    for layer in _layers(unet).values():
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    return unet


def save(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write the changes that `add` made room for, in fp16."""
    tensors = {}
    for name, layer in _layers(unet).items():
        change = _change(layer)
        window = layer.weight.shape[2:]  # a convolution's A slides, its B is 1 x 1
        tensors[f"unet.{name}.lora_A.weight"] = change.A.view(len(change.A), -1, *window)
        tensors[f"unet.{name}.lora_B.weight"] = change.B.view(*change.B.shape, *(1 for _ in window))
    save_file({key: tensor.detach().half().contiguous() for key, tensor in tensors.items()}, folder / FILE)


@torch.no_grad()
def merge(unet: UNet2DConditionModel, file: Path) -> UNet2DConditionModel:
    """Add a file's changes to the weights of `unet`, in place; raises CodiError (bad-model) where they do not fit."""
    layers = _layers(unet)
    for name, (a, b) in _changes(layers, file).items():
        layers[name].weight += (b @ a).view_as(layers[name].weight)
    return unet


@torch.no_grad()
def resume(unet: UNet2DConditionModel, file: Path) -> None:
    """Take up training at a file's changes, in the room that `add` made; raises CodiError (bad-model)."""
    layers = _layers(unet)
    for name, (a, b) in _changes(layers, file).items():
        change = _change(layers[name])
        if change.A.shape != a.shape:
            raise CodiError(ErrorCode.BAD_MODEL, f"{file}: {name} has rank {len(a)}, not {len(change.A)}")
        change.A.copy_(a)
        change.B.copy_(b)


def added(unet: UNet2DConditionModel) -> bool:
    """Whether `add` made room for changes."""
    return any(isinstance(module, LowRank) for module in unet.modules())


def _change(layer: nn.Module) -> LowRank:
    change = layer.get_submodule("parametrizations.weight.0")
    assert isinstance(change, LowRank)
    return change


def _changes(layers: Mapping[str, nn.Conv2d | nn.Linear], file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """(A [rank, in], B [out, rank]) by layer; raises CodiError (bad-model) where they do not fit."""
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CodiError(ErrorCode.BAD_MODEL, f"{file} is no safetensors file: {error}") from error
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = KEY.fullmatch(key)
        if match is None or match["layer"] not in layers:
            raise CodiError(ErrorCode.BAD_MODEL, f"{file}: '{key}' names no layer of the U-Net")
        parts.setdefault(match["layer"], {})[match["part"]] = tensor.float().flatten(1)
    for name, part in parts.items():
        weight = layers[name].weight
        if part.keys() != {"A", "B"} or (len(part["B"]), part["A"].shape[1]) != (len(weight), weight[0].numel()):
            shapes = {side: tuple(tensor.shape) for side, tensor in part.items()}
            raise CodiError(ErrorCode.BAD_MODEL, f"{file}: {name} has {shapes} for a weight of {tuple(weight.shape)}")
    return {name: (part["A"], part["B"]) for name, part in parts.items()}


def _layers(unet: UNet2DConditionModel) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: layer for name, layer in unet.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
