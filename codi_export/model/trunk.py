"""A deep condition embedding: residual blocks at latent size, in place of a ControlNet's few convolutions.

Super-resolution wants many layers between the small photo's pixels and the finest detail, and a ControlNet has two. The
blocks are EDSR's (arXiv 1707.02921, figure 2). They run once per picture, whatever the number of steps.
"""

import torch.nn.functional as F
from diffusers import ControlNetModel
from torch import Tensor, nn


class Trunk(nn.Module):
    """Condition image at latent size [B, C, h, w] -> embedding [B, C0 + C_x, h, w]; zero until it is trained.

    The first C0 channels are the ControlNet's condition embedding; the last C_x, as many as the latent has, go straight
    into the estimate (distill/README.md 2).
    """

    def __init__(self, channels: int, width: int, blocks: int, out: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.conv_out = nn.Conv2d(width, out, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        assert self.conv_out.bias is not None
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, condition: Tensor) -> Tensor:
        seen = self.conv_in(condition)
        embedding: Tensor = self.conv_out(seen + self.blocks(seen))
        return embedding


class Block(nn.Module):
    """x + conv(relu(conv(x))), nearly the identity at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2.weight.data.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        deeper: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return deeper


def deepen(net: ControlNetModel, blocks: int) -> ControlNetModel:
    """Put an untrained trunk of `blocks` residual blocks in place of the ControlNet's condition embedding."""
    config = net.config
    width, out = config.conditioning_embedding_out_channels[0], config.block_out_channels[0] + config.in_channels
    net.controlnet_cond_embedding = Trunk(config.conditioning_channels, width, blocks, out)
    return net
