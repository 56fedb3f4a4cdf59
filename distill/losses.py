"""The equations of CoDi, one function each (README.md 1 and 3). Tensors are [B, C, h, w]; coefficients broadcast.

Losses are means per sample, [B], in float32.
"""

from torch import Tensor


def diffuse(x: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """z = alpha x + sigma eps (README.md 1)."""
    return alpha * x + sigma * eps


def next_latent(x_hat: Tensor, noise: Tensor, alpha_s: Tensor, sigma_s: Tensor) -> Tensor:
    """z_s = alpha_s x_hat + sigma_s noise (README.md 3, step 3): the true noise for PREv, the implied for DDIM."""
    return alpha_s * x_hat + sigma_s * noise


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared difference per sample."""
    return (a.float() - b.float()).square().mean(dim=(1, 2, 3))


def consistency_eps(eps_t: Tensor, eps_s: Tensor) -> Tensor:
    """d(eps_theta-(z_s, s), eps_theta(z_t, t)) (README.md 3, step 5)."""
    return distance(eps_t, eps_s)


def consistency_x(x_t: Tensor, x_s: Tensor) -> Tensor:
    """The same in signal space (README.md 3, step 5)."""
    return distance(x_t, x_s)


def guidance(x_t: Tensor, x: Tensor) -> Tensor:
    """d(x, x_theta(z_t, t)) (README.md 3, step 6)."""
    return distance(x_t, x)


def spanning_x(z_t: Tensor, z_s: Tensor, alpha_t: Tensor, sigma_t: Tensor, alpha_s: Tensor, sigma_s: Tensor) -> Tensor:
    """The x whose one DDIM step leads from z_t to z_s (README.md 8). At the clean end, sigma_s = 0, it is z_s."""
    ratio = sigma_s / sigma_t
    return (z_s - ratio * z_t) / (alpha_s - ratio * alpha_t)


def truncated_snr(alpha: Tensor, sigma: Tensor) -> Tensor:
    """max(alpha^2 / sigma^2, 1) per sample, [B], of coefficients [B, 1, 1, 1] (README.md 8)."""
    return (alpha / sigma).square().clamp(min=1).flatten()
