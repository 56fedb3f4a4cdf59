"""PREv: mix the estimate with the noise that the run began with (distill/README.md 4)."""

from codi_export.samplers import Sampler, Update
from codi_export.spec import Step


def update(now: Step, then: Step) -> Update:
    """z_next = alpha_next x_hat + sigma_next noise."""
    return Update(x=then.alpha, z=0.0, noise=then.sigma)


SAMPLER = Sampler("prev", update)
