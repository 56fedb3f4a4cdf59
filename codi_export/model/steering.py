"""What adapters add to a U-Net: a ControlNet's residuals, a T2I-Adapter's features, a trunk's share of the estimate."""

from typing import Any, NamedTuple, TypeAlias

from diffusers import ControlNetModel, T2IAdapter
from torch import Tensor, nn

from codi_export.model.micro import Added
from codi_export.model.trunk import Trunk

Net: TypeAlias = ControlNetModel | T2IAdapter
Condition = tuple[Tensor, ...]


class Steering(NamedTuple):
    """Additions to the U-Net's skips and middle (a ControlNet's), to its encoder's levels (a T2I-Adapter's), and to the
    estimate itself (a trunk's); empty where there are none."""

    skips: Condition = ()
    middle: Condition = ()
    features: Condition = ()
    direct: Condition = ()

    def __mul__(self, scale: float | Tensor) -> "Steering":  # type: ignore[override]
        if isinstance(scale, float) and scale == 1.0:
            return self
        return Steering(*(tuple(scale * tensor for tensor in part) for part in self))

    def __add__(self, other: "Steering") -> "Steering":  # type: ignore[override]
        """What one of them lacks, the other has alone."""
        pairs = zip(self, other, strict=True)
        return Steering(*(tuple(x + y for x, y in zip(a, b, strict=True)) if a and b else a or b for a, b in pairs))

    @property
    def arguments(self) -> dict[str, Any]:
        """By the U-Net's names for them."""
        named: dict[str, Any] = {}
        if self.skips:
            named["down_block_additional_residuals"] = list(self.skips)
            named["mid_block_additional_residual"] = self.middle[0]
        if self.features:
            named["down_intrablock_additional_residuals"] = list(self.features)  # the U-Net empties the list
        return named


def embed(net: Net, condition: Tensor, prompt: Tensor) -> Condition:
    """Condition image [B, C, H, W], prompt [B, T, D] -> a ControlNet's embedding [B, C0, h, w], with a trunk
    [B, C0 + C_x, h, w]; a T2I-Adapter's features, one tensor a level of the U-Net."""
    if isinstance(net, T2IAdapter):
        return tuple(net(condition))
    embedding = net.controlnet_cond_embedding
    return (embedding(condition, prompt) if isinstance(embedding, Trunk) else embedding(condition),)


def count(net: Net) -> int:
    """How many tensors `embed` gives."""
    return len(net.config.channels) if isinstance(net, T2IAdapter) else 1


def steer(net: Net, z: Tensor, t: Tensor, prompt: Tensor, condition: Condition, added: Added | None = None) -> Steering:
    """What `net` adds at z [B, C, h, w], t [] or [B], prompt [B, T, D]; `condition` is embedded already."""
    if isinstance(net, T2IAdapter):
        return Steering(features=condition)
    (embedded,) = condition
    channels = net.config.block_out_channels[0]
    skips, middle = _residuals(net, z, t, prompt, embedded[:, :channels], added)
    direct = (embedded[:, channels:],) if isinstance(net.controlnet_cond_embedding, Trunk) else ()
    return Steering(tuple(skips), (middle,), direct=direct)


class _Given(nn.Module):
    """Stands in for the condition embedding where that was computed before."""

    def forward(self, condition: Tensor) -> Tensor:
        return condition


def _residuals(
    net: ControlNetModel, z: Tensor, t: Tensor, prompt: Tensor, condition: Tensor, added: Added | None
) -> tuple[list[Tensor], Tensor]:
    """Residuals for the U-Net's skips and middle; `condition` is already embedded."""
    embedding = net.controlnet_cond_embedding
    net.controlnet_cond_embedding = _Given()
    try:
        skips, middle = net(z, t, prompt, controlnet_cond=condition, added_cond_kwargs=added, return_dict=False)
    finally:
        net.controlnet_cond_embedding = embedding
    return skips, middle
