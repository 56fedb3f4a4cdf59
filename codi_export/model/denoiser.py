"""Backbone and adapter as one denoiser. Callers see x and eps; the prediction type ends here."""

from typing import Any, TypeAlias

import torch
from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from torch import Tensor, nn

from codi_export.model import prediction, t2i
from codi_export.model.trunk import Trunk
from codi_export.spec import PredictionType

Net: TypeAlias = ControlNetModel | T2IAdapter
Condition = tuple[Tensor, ...]


class Denoiser(nn.Module):
    """One U-Net evaluation steered by an adapter.

    `condition` is what the adapter makes of the condition image alone (see `embed_condition`): the same for all steps,
    so it is computed once. Without an adapter the bare backbone answers.
    """

    def __init__(self, unet: UNet2DConditionModel, adapter: Net | None, prediction_type: PredictionType) -> None:
        super().__init__()
        self.unet = unet
        self.adapter = t2i.fit(adapter, unet) if isinstance(adapter, T2IAdapter) else adapter
        self.prediction_type = prediction_type

    def embed_condition(self, condition: Tensor, prompt: Tensor) -> Condition:
        """Condition image [B, C, H, W], prompt [B, T, D] -> a ControlNet's embedding [B, C0, h, w], with a trunk
        [B, C0 + C_x, h, w]; a T2I-Adapter's features, one tensor a level of the U-Net. Without an adapter nobody looks
        at it."""
        if self.adapter is None:
            return ()
        if isinstance(self.adapter, T2IAdapter):
            return tuple(self.adapter(condition))
        embedding = self.adapter.controlnet_cond_embedding
        return (embedding(condition, prompt) if isinstance(embedding, Trunk) else embedding(condition),)

    def predict(self, z: Tensor, t: Tensor, prompt: Tensor, condition: Condition | None) -> Tensor:
        """The U-Net's prediction [B, C, h, w] for z [B, C, h, w], t [] or [B], prompt [B, T, D]."""
        steering = self._steering(z, t, prompt, condition) if condition else {}
        output: Tensor = self.unet(z, t, prompt, **steering, return_dict=False)[0]
        return output

    def forward(self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, *condition: Tensor) -> Tensor:
        """The estimate of the clean latent, x [B, C, h, w]."""
        return self.x_eps(z, t, alpha, sigma, prompt, condition)[0]

    def x_eps(
        self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, condition: Condition | None
    ) -> tuple[Tensor, Tensor]:
        """The estimates of the clean latent and of the noise in z; a trunk's share r moves them along the line that
        explains z, to x + sigma r and eps - alpha r."""
        output = self.predict(z, t, prompt, condition)
        known = (self.prediction_type, output, z, alpha, sigma)
        x, eps = prediction.to_x(*known), prediction.to_eps(*known)
        direct = self._split(condition)[1] if condition else None
        return (x, eps) if direct is None else (x + sigma * direct, eps - alpha * direct)

    def _steering(self, z: Tensor, t: Tensor, prompt: Tensor, condition: Condition) -> dict[str, Any]:
        """What the U-Net adds to its own features, by its names for them."""
        if isinstance(self.adapter, T2IAdapter):
            return {"down_intrablock_additional_residuals": list(condition)}  # the U-Net empties the list
        assert self.adapter is not None
        down, mid = _residuals(self.adapter, z, t, prompt, self._split(condition)[0])
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}

    def _split(self, condition: Condition) -> tuple[Tensor, Tensor | None]:
        """An embedding's two shares: the ControlNet's, and what a trunk adds to the estimate itself."""
        if not isinstance(getattr(self.adapter, "controlnet_cond_embedding", None), Trunk):
            return condition[0], None
        assert self.adapter is not None
        channels = self.adapter.config.block_out_channels[0]
        return condition[0][:, :channels], condition[0][:, channels:]


class _Given(nn.Module):
    """Stands in for the condition embedding where that was computed before."""

    def forward(self, condition: Tensor) -> Tensor:
        return condition


def _residuals(
    adapter: ControlNetModel, z: Tensor, t: Tensor, prompt: Tensor, condition: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Residuals for the U-Net's skips and middle; `condition` is already embedded."""
    embedding = adapter.controlnet_cond_embedding
    adapter.controlnet_cond_embedding = _Given()
    try:
        down, mid = adapter(z, t, prompt, controlnet_cond=condition, return_dict=False)
    finally:
        adapter.controlnet_cond_embedding = embedding
    return down, mid


def guided(cond: Tensor, uncond: Tensor, scale: Tensor) -> Tensor:
    """Classifier-free guidance, unconditional half first: u + w (c - u). Commutes with every conversion."""
    return uncond + scale * (cond - uncond)


def as_coefficient(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """Entries of a [T] table at timesteps t [B], shaped to broadcast over like [B, C, h, w]. t = -1 reads the end."""
    picked = table.to(t.device)[t].to(like)
    return picked[:, None, None, None] if t.dim() else picked


def tables(alphas: Tensor, sigmas: Tensor) -> tuple[Tensor, Tensor]:
    """`alphas` and `sigmas` with the clean end appended, so that index -1 reads alpha = 1, sigma = 0."""
    return torch.cat([alphas, alphas.new_ones(1)]), torch.cat([sigmas, sigmas.new_zeros(1)])
