"""DAT light x4: Dual Aggregation Transformer for Image Super-Resolution (Chen et al. 2023, arXiv 2308.03364).

One residual group of 18 blocks that attend in turns in windows (8 x 32 and 32 x 8, half of the channels each) and
between channels. Parameters are named as in the authors' code, so that their file loads; positions and masks are
computed, where the file repeats them. Height and width must be multiples of 32: nothing is padded here.
"""

import functools
import io
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from .graph import unexpected

WIDTH, HEADS, BLOCKS, SCALE = 60, 6, 18, 4
WINDOW = (8, 32)
MEAN_RGB = (0.4488, 0.4371, 0.4040)


def read(files: Mapping[str, bytes]) -> nn.Module:
    """The network in the one file. It is a pickle: nothing but tensors is let out of it."""
    [data] = files.values()
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["params"]
    computed = ("attn_mask_0", "attn_mask_1", "rpe_biases", "relative_position_index")
    network = DatLight()
    try:
        network.load_state_dict({name: value for name, value in state.items() if not name.endswith(computed)})
    except RuntimeError as error:
        raise unexpected(f"other parameters than DAT light's: {error}") from error
    return network


class DatLight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv_first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.before_RG = nn.Sequential(nn.Identity(), nn.LayerNorm(WIDTH))
        self.layers = nn.ModuleList([Group()])
        self.norm = nn.LayerNorm(WIDTH)
        self.conv_after_body = _three_convolutions()
        self.upsample = nn.Sequential(nn.Conv2d(WIDTH, 3 * SCALE**2, 3, padding=1), nn.PixelShuffle(SCALE))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.new_tensor(MEAN_RGB)[:, None, None]
        shallow = self.conv_first(x - mean)
        deep = self.norm(self.layers[0](self.before_RG(_last(shallow))))
        return torch.as_tensor(self.upsample(self.conv_after_body(_first(deep)) + shallow) + mean)


class Group(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(i) for i in range(BLOCKS))
        self.conv = _three_convolutions()

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # [B, H, W, C], here and below
        y = x
        for block in self.blocks:
            y = block(y)
        return x + _last(self.conv(_first(y)))


class Block(nn.Module):
    """Even blocks attend in windows, odd ones between channels; the windows of 2, 6, 10, 14 are shifted by a half."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = ChannelAttention() if index % 2 else SpatialAttention(shifted=index % 4 == 2)
        self.ffn = FeedForward()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return torch.as_tensor(x + self.ffn(self.norm2(x)))


class Attention(nn.Module):
    """The adaptive interaction module, equations 8 and 9: attention and a convolution of the values gate each other."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        depthwise = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.dwconv = nn.Sequential(depthwise, nn.BatchNorm2d(WIDTH), nn.GELU())
        self.channel_interaction = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_bottleneck(WIDTH // 8, WIDTH))
        self.spatial_interaction = nn.Sequential(*_bottleneck(WIDTH // 16, 1))

    def channel_gate(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.channel_interaction(x))

    def spatial_gate(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.spatial_interaction(x))


class SpatialAttention(Attention):
    def __init__(self, shifted: bool) -> None:
        super().__init__()
        self.attns = nn.ModuleList(Windows(size, shifted) for size in (WINDOW, WINDOW[::-1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = torch.unflatten(self.qkv(x), -1, (3, WIDTH)).movedim(-2, 0)
        halves = zip(self.attns, qkv.chunk(2, dim=-1), strict=True)
        attended = _first(torch.cat([windows(half) for windows, half in halves], dim=-1))
        convolved = self.dwconv(_first(qkv[2]))
        gated = attended * self.channel_gate(convolved) + convolved * self.spatial_gate(attended)
        return torch.as_tensor(self.proj(_last(gated)))


class ChannelAttention(Attention):
    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(HEADS, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[1:3]
        tokens = torch.unflatten(self.qkv(x).flatten(1, 2), -1, (3, HEADS, -1))
        q, k, v = tokens.permute(2, 0, 3, 4, 1)  # [B, heads, D, HW]
        weights = normalize(q, dim=-1) @ normalize(k, dim=-1).transpose(-2, -1) * self.temperature
        attended = (weights.softmax(dim=-1) @ v).reshape(-1, WIDTH, height, width)
        convolved = self.dwconv(v.reshape(attended.shape))
        gated = attended * self.spatial_gate(convolved) + convolved * self.channel_gate(attended)
        return torch.as_tensor(self.proj(_last(gated)))


class Windows(nn.Module):
    """Attention inside windows with a learnt bias for each relative position, for half of the channels and heads."""

    def __init__(self, size: tuple[int, int], shifted: bool) -> None:
        super().__init__()
        self.size, self.shift = size, (size[0] // 2, size[1] // 2) if shifted else None
        self.pos = PositionBias(HEADS // 2)

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:  # [3, B, H, W, C / 2] -> [B, H, W, C / 2]
        height, width = qkv.shape[2:4]
        bias = self.pos(self.size)
        if self.shift:
            qkv = qkv.roll((-self.shift[0], -self.shift[1]), dims=(2, 3))
            bias = bias + shift_mask(self.size, self.shift, (height, width))[:, None]
        q, k, v = torch.unflatten(split(qkv, self.size), -1, (HEADS // 2, -1)).transpose(-3, -2)
        y = scaled_dot_product_attention(q, k, v, attn_mask=bias)  # [B, windows, heads, N, D]
        y = join(y.transpose(-3, -2).flatten(-2), self.size, (height, width))
        return y.roll(self.shift, dims=(1, 2)) if self.shift else y


class PositionBias(nn.Module):
    """A small network from the offset between two places to a bias for each head.  # [heads, N, N]"""

    def __init__(self, heads: int, width: int = WIDTH // 32) -> None:
        super().__init__()
        self.pos_proj = nn.Linear(2, width)
        self.pos1, self.pos2, self.pos3 = (
            nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, out)) for out in (width, width, heads)
        )

    def forward(self, size: tuple[int, int]) -> torch.Tensor:
        places = torch.cartesian_prod(*map(torch.arange, size)).float()
        offsets = places[:, None] - places[None]
        return torch.as_tensor(self.pos3(self.pos2(self.pos1(self.pos_proj(offsets))))).permute(2, 0, 1)


class FeedForward(nn.Module):
    """The spatial-gate feed-forward network, equation 10."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        convolution = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH)
        self.sg = nn.ModuleDict({"norm": nn.LayerNorm(WIDTH), "conv": convolution})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, gate = nn.functional.gelu(self.fc1(x)).chunk(2, dim=-1)
        return torch.as_tensor(self.fc2(kept * _last(self.sg["conv"](_first(self.sg["norm"](gate))))))


@functools.cache
def shift_mask(size: tuple[int, int], shift: tuple[int, int], shape: tuple[int, int]) -> torch.Tensor:
    """-100 between places that only the shift around the picture's edge made neighbours.  # [windows, N, N]"""
    regions = torch.zeros(1, *shape, 1)
    for axis, (side, step) in enumerate(zip(size, shift, strict=True), start=1):
        count = regions.shape[axis]
        region = (torch.arange(count) >= count - side).float() + (torch.arange(count) >= count - step).float()
        regions += (3.0 ** (axis - 1)) * region.view([-1 if i == axis else 1 for i in range(4)])
    windows = split(regions, size)[0, :, :, 0]
    return (windows[:, :, None] != windows[:, None]) * -100.0


def split(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Cut into windows.  # [..., H, W, C] -> [..., windows, N, C]"""
    batch, (height, width, channels) = x.shape[:-3], x.shape[-3:]
    cut = x.reshape(*batch, height // size[0], size[0], width // size[1], size[1], channels)
    return cut.transpose(-4, -3).reshape(*batch, -1, size[0] * size[1], channels)


def join(windows: torch.Tensor, size: tuple[int, int], shape: tuple[int, int]) -> torch.Tensor:
    """What `split` cut.  # [B, windows, N, C] -> [B, H, W, C]"""
    rows, columns = shape[0] // size[0], shape[1] // size[1]
    cut = windows.reshape(-1, rows, columns, *size, windows.shape[-1])
    return cut.transpose(2, 3).reshape(-1, *shape, windows.shape[-1])


def _three_convolutions() -> nn.Sequential:
    narrow = WIDTH // 4
    first, last = nn.Conv2d(WIDTH, narrow, 3, padding=1), nn.Conv2d(narrow, WIDTH, 3, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(0.2), nn.Conv2d(narrow, narrow, 1), nn.LeakyReLU(0.2), last)


def _bottleneck(narrow: int, channels: int) -> list[nn.Module]:
    return [nn.Conv2d(WIDTH, narrow, 1), nn.BatchNorm2d(narrow), nn.GELU(), nn.Conv2d(narrow, channels, 1)]


def _first(x: torch.Tensor) -> torch.Tensor:
    """Channels first."""
    return x.movedim(-1, -3)


def _last(x: torch.Tensor) -> torch.Tensor:
    """Channels last."""
    return x.movedim(-3, -1)
