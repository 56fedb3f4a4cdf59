"""What is trained: an adapter, the U-Net, or both; made new, and written where the next stage or `build` reads it."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diffusers import UNet2DConditionModel
from torch import nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import UNET
from codi_export.model import adapter, lora, t2i
from codi_export.model.backbone import Backbone
from codi_export.model.steering import Net
from codi_export.spec import AdapterSpec

from . import stages


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What is trained: the adapter (`pe`), with a `lora_rank` also low-rank changes to the U-Net; the adapter and the
    U-Net (`full`); or the U-Net alone, without adapter or condition (`backbone`). `start` is the folder of an adapter
    to go on from.

    `kind`, `condition`, `width`, `trunk`, `reads` and `attention` are the adapter's shape (`model.adapter.new`,
    `model.t2i`); `degraded` is the share of samples whose condition is made the second way where a task has two (`sr`:
    the second-order degradation, in place of plain bicubic); `drop_caption` how often the prompt is empty. Validation
    samples in `validate_steps`; builds with the adapter make pictures of `image_size` pixels unless told otherwise (0:
    the backbone's size).
    """

    mode: Literal["pe", "full", "backbone"] = "pe"
    start: str = ""
    kind: Literal["controlnet", "t2i"] = "controlnet"
    lora_rank: int = 0
    condition: Literal["pixels", "unshuffled"] = "unshuffled"
    width: int = 64
    trunk: int = 0
    reads: bool = False
    attention: bool = True
    degraded: float = 0.5
    drop_caption: float = 0.5
    validate_steps: int = 2
    image_size: int = 0


class Adapted(nn.Module):
    """What is trained: the adapter, and with it the U-Net (full mode) or low-rank changes to it; or the U-Net alone."""

    def __init__(self, net: Net | None, unet: UNet2DConditionModel | None = None) -> None:
        super().__init__()
        self.net = net
        self.unet = unet


def new(config: AdapterConfig, backbone: Backbone, channels: int) -> Adapted:
    """What `config` says, for a condition of so many channels. An adapter's weights are random, or those of
    `config.start`; a U-Net's are the backbone's. Raises CodiError (bad-option, bad-model)."""
    net = None if config.mode == "backbone" else _new_adapter(config, backbone, channels)
    module = Adapted(net, _own_unet(config, backbone))
    if config.start:
        stages.begin(module.net, module.unet, config.start, backbone)
    return module


def save(module: Adapted, config: AdapterConfig, facts: AdapterSpec, backbone: Backbone, folder: Path) -> None:
    """Write the adapter with its facts, and beside it what became of the U-Net; without an adapter, a backbone."""
    if module.net is not None:
        adapter.save(module.net, facts, folder)
    if module.unet is None:
        return
    match config.mode:
        case "backbone":
            stages.save_backbone(module.unet, backbone, folder)
        case "full":
            copy.deepcopy(module.unet).half().save_pretrained(folder / UNET)
        case "pe":
            lora.save(module.unet, folder)


def _new_adapter(config: AdapterConfig, backbone: Backbone, channels: int) -> Net:
    if config.kind == "t2i":
        if config.condition != "pixels":
            raise CodiError(
                ErrorCode.BAD_OPTION, f"a T2I-Adapter reads the condition 'pixels', not '{config.condition}'"
            )
        return t2i.new(backbone, channels)
    shape = config.condition, config.width, config.trunk, config.attention, channels, config.reads
    return adapter.new(backbone, *shape)


def _own_unet(config: AdapterConfig, backbone: Backbone) -> UNet2DConditionModel | None:
    unet = copy.deepcopy(backbone.unet)
    if config.mode != "pe":
        return unet.requires_grad_(True)
    return lora.add(unet, config.lora_rank) if config.lora_rank else None
