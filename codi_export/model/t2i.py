"""T2I-Adapters (arXiv 2302.08453): features of the condition, added to the U-Net's encoder, level by level.

Unlike a ControlNet they see neither z nor t, so they run once per picture, whatever the number of steps.
"""

from diffusers import T2IAdapter, UNet2DConditionModel
from torch import nn

from codi_export.model.backbone import Backbone


def new(backbone: Backbone, seen: int) -> T2IAdapter:
    """An adapter of a condition with `seen` channels at output size, whose features are zero until it is trained."""
    unet = backbone.unet
    net = T2IAdapter(
        in_channels=seen, channels=list(unet.config.block_out_channels), downscale_factor=backbone.latent_factor
    )
    silent = [net.adapter.conv_in]
    for block in net.adapter.body:
        silent += [resnet.block2 for resnet in block.resnets]
        if block.in_conv is not None:
            nn.init.zeros_(block.in_conv.bias)
    for layer in silent:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return fit(net, unet)


def fit(net: T2IAdapter, unet: UNet2DConditionModel) -> T2IAdapter:
    """Give each level the size at which the U-Net adds it: before a block's downsampler where that block has attention,
    after it where it has none. Only average pools change, which have no weights; for Stable Diffusion they are as they
    were."""
    if net.config.adapter_type != "full_adapter":
        return net
    size, pooled = 1, 1  # latent pixels per pixel, along each side
    for block, down in zip(net.adapter.body, unet.down_blocks, strict=True):
        halves = 2 if down.downsamplers else 1
        wanted = size if getattr(down, "has_cross_attention", False) else size * halves
        factor = wanted // pooled
        block.downsample = nn.AvgPool2d(factor, factor, ceil_mode=True) if factor > 1 else None
        size, pooled = size * halves, wanted
    return net
