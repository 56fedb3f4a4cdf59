"""Update rules between denoiser evaluations. No sampler sees a prediction type: it is given x, the clean estimate."""

from collections.abc import Callable
from dataclasses import dataclass

from codi_export.spec import Step


@dataclass(frozen=True, slots=True)
class Update:
    """The next latent as three constants: z_next = x * x_hat + z * z_now + noise * initial_noise."""

    x: float
    z: float
    noise: float


@dataclass(frozen=True, slots=True)
class Sampler:
    """`update(now, then)`: from the step just evaluated to the next, less noisy one."""

    name: str
    update: Callable[[Step, Step], Update]
