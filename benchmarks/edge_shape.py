"""A model of the size that edge devices are given: BK-SDM-tiny's U-Net, its ControlNet, a tiny VAE; random weights.

Widths and blocks are those of the published config (nota-ai/bk-sdm-tiny, arXiv 2305.15798). Times do not depend on what
the weights are; pictures do, and mean nothing here.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, ControlNetModel, DDPMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from codi_export import zoo

TEXT_WIDTH = 768
WIDTHS = (320, 640, 1280)


def write(folder: Path) -> tuple[Path, Path]:
    """A backbone and a ControlNet in diffusers layout, float16; returns both folders. What is there is left."""
    model, adapter = folder / "model", folder / "controlnet"
    if adapter.is_dir():
        return model, adapter
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
        mid_block_type=None,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=8,
    )
    text = CLIPTextModel(CLIPTextConfig(hidden_size=TEXT_WIDTH, num_hidden_layers=1, num_attention_heads=12))
    net = ControlNetModel(
        block_out_channels=WIDTHS,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=8,
    )
    for weight in net.parameters():  # its zero convolutions would leave nothing to compare
        if not weight.any():
            nn.init.normal_(weight, std=0.02)
    parts = {"unet": unet, "vae": AutoencoderTiny(), "text_encoder": text}
    for name, part in parts.items():
        part.half().save_pretrained(model / name)
    DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        model / "scheduler"
    )
    (model / "tokenizer").symlink_to((zoo.folder("mini") / "tokenizer").resolve())
    net.half().save_pretrained(adapter)
    return model, adapter
