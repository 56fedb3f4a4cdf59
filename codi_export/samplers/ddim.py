"""DDIM, deterministic: mix the estimate with the noise that it implies (distill/README.md 4)."""

from codi_export.samplers import Sampler, Update
from codi_export.spec import Step


def update(now: Step, then: Step) -> Update:
    """z_next = alpha_next x_hat + sigma_next eps_hat, with eps_hat = (z - alpha x_hat) / sigma."""
    ratio = then.sigma / now.sigma
    return Update(x=then.alpha - ratio * now.alpha, z=ratio, noise=0.0)


SAMPLER = Sampler("ddim", update)
