"""Backbone and adapters as one denoiser. Callers see x and eps; the prediction type ends here."""

from collections.abc import Sequence

import torch
from diffusers import T2IAdapter, UNet2DConditionModel
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import prediction, steering, t2i
from codi_export.model.micro import Added, Micro, wanted
from codi_export.model.steering import Condition, Net, Steering
from codi_export.spec import PredictionType


class Denoiser(nn.Module):
    """One U-Net evaluation steered by an adapter, or by the sum of several, each times its scale.

    `condition` is what the adapters make of the condition image alone (see `embed_condition`): the same for all steps,
    so it is computed once. With `micro` its last is the prompt as a whole, pooled [B, P]. Without an adapter the bare
    backbone answers.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        adapter: Net | None,
        prediction_type: PredictionType,
        others: Sequence[Net] = (),
        scales: Sequence[float] = (1.0,),
        micro: Micro | None = None,
    ) -> None:
        super().__init__()
        if wanted(unet) != bool(micro):
            raise CodiError(ErrorCode.BAD_MODEL, "the U-Net reads a pooled prompt and sizes, which are not given here")
        self.unet = unet
        self.adapter = _fit(adapter, unet) if adapter else None
        self.others = nn.ModuleList(_fit(other, unet) for other in others)
        self.scales = tuple(scales)
        self.micro = micro
        self.prediction_type = prediction_type

    @property
    def adapters(self) -> tuple[Net, ...]:
        """All of them, in the order of their scales."""
        return (self.adapter, *self.others) if self.adapter else ()

    def embed_condition(self, condition: Tensor, prompt: Tensor) -> Condition:
        """Condition image [B, C, H, W], prompt [B, T, D] -> what each adapter makes of it (`steering.embed`). Without
        an adapter nobody looks at it."""
        return tuple(part for net in self.adapters for part in steering.embed(net, condition, prompt))

    def predict(self, z: Tensor, t: Tensor, prompt: Tensor, condition: Condition | None) -> Tensor:
        """The U-Net's prediction [B, C, h, w] for z [B, C, h, w], t [] or [B], prompt [B, T, D]."""
        embedded, added = self._parted(condition)
        return self._predict(z, t, prompt, self._steering(z, t, prompt, embedded, added), added)

    def forward(self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, *condition: Tensor) -> Tensor:
        """The estimate of the clean latent, x [B, C, h, w]."""
        return self.x_eps(z, t, alpha, sigma, prompt, condition)[0]

    def x_eps(
        self,
        z: Tensor,
        t: Tensor,
        alpha: Tensor,
        sigma: Tensor,
        prompt: Tensor,
        condition: Condition | None,
        scale: float | Tensor = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """The estimates of the clean latent and of the noise in z; a trunk's share r moves them along the line that
        explains z, to x + sigma r and eps - alpha r. `scale` multiplies all that the adapters add."""
        embedded, added = self._parted(condition)
        steered = self._steering(z, t, prompt, embedded, added) * scale
        known = (self.prediction_type, self._predict(z, t, prompt, steered, added), z, alpha, sigma)
        x, eps = prediction.to_x(*known), prediction.to_eps(*known)
        for r in steered.direct:
            x, eps = x + sigma * r, eps - alpha * r
        return x, eps

    def _parted(self, condition: Condition | None) -> tuple[Condition, Added | None]:
        """What the adapters made, and what an SDXL reads besides."""
        parts = condition or ()
        return (parts[:-1], self.micro(parts[-1])) if self.micro else (parts, None)

    def _predict(self, z: Tensor, t: Tensor, prompt: Tensor, steered: Steering, added: Added | None) -> Tensor:
        output: Tensor = self.unet(z, t, prompt, added_cond_kwargs=added, **steered.arguments, return_dict=False)[0]
        return output

    def _steering(self, z: Tensor, t: Tensor, prompt: Tensor, rest: Condition, added: Added | None) -> Steering:
        total = Steering()
        for net, scale in zip(self.adapters if rest else (), self.scales, strict=False):
            own, rest = rest[: steering.count(net)], rest[steering.count(net) :]
            total += steering.steer(net, z, t, prompt, own, added) * scale
        return total


def _fit(net: Net, unet: UNet2DConditionModel) -> Net:
    return t2i.fit(net, unet) if isinstance(net, T2IAdapter) else net


def guided(cond: Tensor, uncond: Tensor, scale: Tensor | float) -> Tensor:
    """Classifier-free guidance, unconditional half first: u + w (c - u). Commutes with every conversion."""
    return uncond + scale * (cond - uncond)


def as_coefficient(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Entries of a [T] table at timesteps t [B], shaped to broadcast over like [B, C, h, w]. t = -1 reads the end."""
    picked = table.to(t.device)[t].to(like)
    return picked[:, None, None, None] if t.dim() else picked


def tables(alphas: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """`alphas` and `sigmas` with the clean end appended, so that index -1 reads alpha = 1, sigma = 0."""
    return torch.cat([alphas, alphas.new_ones(1)]), torch.cat([sigmas, sigmas.new_zeros(1)])
