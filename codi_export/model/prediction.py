"""From what a denoiser predicts to x and eps, at fixed (z, t): z = alpha x + sigma eps (distill/README.md 1).

`alpha` and `sigma` are scalars or tensors that broadcast against z [B, C, h, w].
"""

from torch import Tensor

from codi_export.spec import PredictionType


def to_x(kind: PredictionType, output: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The clean latent that a prediction implies."""
    match kind:
        case "epsilon":
            return (z - sigma * output) / alpha
        case "v_prediction":
            return alpha * z - sigma * output
        case "sample":
            return output


def to_eps(kind: PredictionType, output: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The noise that a prediction implies."""
    match kind:
        case "epsilon":
            return output
        case "v_prediction":
            return sigma * z + alpha * output
        case "sample":
            return (z - alpha * output) / sigma


def of(kind: PredictionType, x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a denoiser of that kind predicts, from x and eps."""
    match kind:
        case "epsilon":
            return eps
        case "v_prediction":
            return to_v(x, eps, alpha, sigma)
        case "sample":
            return x


def to_v(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """v = alpha eps - sigma x."""
    return alpha * eps - sigma * x
