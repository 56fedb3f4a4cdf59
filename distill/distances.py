"""What the guidance term L_g measures with (README.md 3, step 6): each maps (x_hat, sample) to [B]."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from codi_export.model import backbone as bb

from . import losses
from .judges import HedVgg
from .metrics import perceptual_distance
from .step import Distance, Sample


def make(name: str, vae: nn.Module) -> Distance:
    """`latent`: squared error of the latents. `weighted`: each channel counts by how far it moves the decoded pictures.
    `pixel`: squared error of the decoded pictures. `perceptual`: of their features.

    The perceptual network is the one that `evaluate` reports, so a model trained with it is judged by KID alone.
    """
    match name:
        case "latent":
            return latent
        case "weighted":
            return Weighted(vae)
        case "pixel":
            return Pixel(vae)
        case "perceptual":
            return Perceptual(vae)
    raise ValueError(f"unknown distance {name!r}")


def latent(x_hat: Tensor, sample: Sample) -> Tensor:
    """|x_hat - x|^2."""
    return losses.guidance(x_hat, sample.x)


class Weighted:
    """sum_c w_c |x_hat - x|_c^2: the squared error of the pictures for small errors, independent by latent pixel,
    at the price of that of the latents. Weights average to 1.

    A whitened latent gives brightness and colour no more weight than each channel of fine texture, of which a drawing
    or a depth map says nothing.
    """

    PROBES, SIDE, STEP = 8, 16, 0.3  # latents, their side, and how far a channel is moved; in deviations of the data

    def __init__(self, vae: nn.Module) -> None:
        moves = [float(move) for move in self._moves(vae)]
        self.weights = torch.tensor(moves).div(sum(moves) / len(moves)).view(1, -1, 1, 1)

    def __call__(self, x_hat: Tensor, sample: Sample) -> Tensor:
        weights = self.weights.to(x_hat.device).sqrt()
        return losses.guidance(weights * x_hat, weights * sample.x)

    @torch.no_grad()
    def _moves(self, vae: nn.Module) -> Iterator[Tensor]:
        draw = torch.Generator().manual_seed(0)
        channels = bb.encode(vae, torch.zeros(1, 3, 64, 64)).shape[1]
        z, moved = torch.randn(2, self.PROBES, channels, self.SIDE, self.SIDE, generator=draw)
        here = bb.decode(vae, z)
        for channel in range(channels):
            step = torch.zeros_like(z)
            step[:, channel] = self.STEP * moved[:, channel]
            yield (bb.decode(vae, z + step) - here).square().mean()


class Pixel:
    """|D(x_hat) - picture|^2; pictures in [-1, 1]."""

    def __init__(self, vae: nn.Module) -> None:
        self.vae = vae

    def __call__(self, x_hat: Tensor, sample: Sample) -> Tensor:
        return losses.guidance(bb.decode(self.vae, x_hat), sample.picture)


class Perceptual:
    """The perceptual distance of D(x_hat) to the picture."""

    def __init__(self, vae: nn.Module) -> None:
        self.vae = vae
        self.network = HedVgg()

    def __call__(self, x_hat: Tensor, sample: Sample) -> Tensor:
        self.network.to(x_hat.device)
        made, wanted = (
            self.network((picture.movedim(1, -1) + 1) * 127.5)
            for picture in (bb.decode(self.vae, x_hat), sample.picture)
        )
        return perceptual_distance(made, wanted)
