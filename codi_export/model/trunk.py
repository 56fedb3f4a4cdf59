"""A deep condition embedding: residual blocks at latent size, in place of a ControlNet's few convolutions.

Super-resolution wants many layers between the small photo's pixels and the finest detail, and a ControlNet has two. The
blocks are EDSR's (arXiv 1707.02921, figure 2). They run once per picture, whatever the number of steps. Where the
prompt matters, each block is followed by a layer that the prompt modulates.
"""

import torch
import torch.nn.functional as F
from diffusers import ControlNetModel
from torch import Tensor, nn


class Trunk(nn.Module):
    """Condition image at latent size [B, C, h, w], prompt [B, T, D] -> embedding [B, C0 + C_x, h, w]; zero until it is
    trained.

    The first C0 channels are the ControlNet's condition embedding; the last C_x, as many as the latent has, go straight
    into the estimate (distill/README.md 2).
    """

    def __init__(self, channels: int, width: int, blocks: int, out: int, prompt_width: int = 0) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.readers = nn.ModuleList(Reader(width, prompt_width) for _ in range(blocks if prompt_width else 0))
        self.conv_out = nn.Conv2d(width, out, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        assert self.conv_out.bias is not None
        nn.init.zeros_(self.conv_out.bias)

    def forward(self, condition: Tensor, prompt: Tensor) -> Tensor:
        seen = deeper = self.conv_in(condition)
        for index, block in enumerate(self.blocks):
            deeper = block(deeper)
            if self.readers:
                deeper = self.readers[index](deeper, prompt)
        embedding: Tensor = self.conv_out(seen + deeper)
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


class Reader(nn.Module):
    """Scales and shifts channels [B, C, h, w] by what words [B, T, D] say; does nothing until it is trained.

    FiLM (arXiv 1709.07871). What the words say is a mean of them for each of PICKS learnt weightings, so that one may
    look for colours and another for things. `mean` [D] is what all prompts have in common (`centre`): left in, it is
    several times larger than what tells them apart, and gradients go after it first.
    """

    mean: Tensor

    PICKS = 4

    def __init__(self, width: int, prompt_width: int) -> None:
        super().__init__()
        self.pick = nn.Linear(prompt_width, self.PICKS, bias=False)
        self.out = nn.Linear(self.PICKS * prompt_width, 2 * width)
        self.register_buffer("mean", torch.zeros(prompt_width))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        words = words - self.mean
        picked = self.pick(words).softmax(dim=1).transpose(1, 2) @ words
        scale, shift = self.out(picked.flatten(1))[:, :, None, None].chunk(2, dim=1)
        read: Tensor = x + scale * x + shift
        return read


def centre(net: ControlNetModel, words: Tensor) -> None:
    """Tell an untrained trunk that reads what prompts are like, from embeddings [n, T, D] of some."""
    for reader in net.controlnet_cond_embedding.readers:
        reader.mean.copy_(words.mean(dim=(0, 1)))


def deepen(net: ControlNetModel, blocks: int, reads: bool) -> ControlNetModel:
    """Put an untrained trunk of `blocks` residual blocks in place of the ControlNet's condition embedding."""
    config = net.config
    width, out = config.conditioning_embedding_out_channels[0], config.block_out_channels[0] + config.in_channels
    prompt_width = config.cross_attention_dim if reads else 0
    net.controlnet_cond_embedding = Trunk(config.conditioning_channels, width, blocks, out, prompt_width)
    return net
