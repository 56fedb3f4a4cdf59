"""One step of the graph: the denoiser, with guidance and a scale of the adapter where a build asks for them."""

import torch
from torch import Tensor, nn

from codi_export.model.denoiser import Denoiser, guided
from codi_export.model.steering import Condition


class Step(nn.Module):
    """z -> x. With `guidance` the U-Net sees two halves in one batch, `negative` [1, T, D] and the prompt (arXiv
    2207.12598), and an SDXL `negative_pooled` [1, P] too. The last of `condition` are, where the denoiser reads it,
    pooled [B, P], and with `takes_scale` [], what the adapters' additions are multiplied by."""

    negative: Tensor
    negative_pooled: Tensor

    def __init__(
        self,
        denoiser: Denoiser,
        negative: Tensor | None = None,
        guidance: float = 1.0,
        takes_scale: bool = False,
        negative_pooled: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.guidance = guidance
        self.takes_scale = takes_scale
        self.register_buffer("negative", negative, persistent=False)
        self.register_buffer("negative_pooled", negative_pooled, persistent=False)

    def embed_condition(self, condition: Tensor, prompt: Tensor) -> Condition:
        """As `Denoiser.embed_condition`, of both halves under guidance; adapters that read no prompt see one image."""
        embedded = self.denoiser.embed_condition(condition, prompt)
        if self.guidance == 1:
            return embedded
        without = self.denoiser.embed_condition(condition, self.negative.expand_as(prompt))
        return tuple(torch.cat(halves) for halves in zip(without, embedded, strict=True))

    def forward(self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, *condition: Tensor) -> Tensor:
        """The estimate of the clean latent, x [B, C, h, w], of z [B, C, h, w] at t []."""
        scale = condition[-1] if self.takes_scale else 1.0
        embedded = condition[:-1] if self.takes_scale else condition
        if self.guidance == 1:
            return self.denoiser.x_eps(z, t, alpha, sigma, prompt, embedded, scale)[0]
        prompts = torch.cat([self.negative.expand_as(prompt), prompt])
        if self.denoiser.micro:
            pooled = embedded[-1]
            embedded = *embedded[:-1], torch.cat([self.negative_pooled.expand_as(pooled), pooled])
        both, _ = self.denoiser.x_eps(torch.cat([z, z]), t, alpha, sigma, prompts, embedded, scale)
        uncond, cond = both.chunk(2)
        return guided(cond, uncond, self.guidance)
