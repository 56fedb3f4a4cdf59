"""What the guidance term L_g measures with (README.md 3, step 6): each maps (x_hat, sample) to [B]."""

from torch import Tensor, nn

from codi_export.model import backbone as bb

from . import losses
from .judges import HedVgg
from .metrics import perceptual_distance
from .step import Distance, Sample


def make(name: str, vae: nn.Module) -> Distance:
    """`latent`: squared error of the latents. `pixel`: of the decoded pictures. `perceptual`: of their features.

    The perceptual network is the one that `evaluate` reports, so a model trained with it is judged by KID alone.
    """
    match name:
        case "latent":
            return latent
        case "pixel":
            return Pixel(vae)
        case "perceptual":
            return Perceptual(vae)
    raise ValueError(f"unknown distance {name!r}")


def latent(x_hat: Tensor, sample: Sample) -> Tensor:
    """|x_hat - x|^2."""
    return losses.guidance(x_hat, sample.x)


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
