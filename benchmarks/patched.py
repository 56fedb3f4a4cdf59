"""A U-Net and its ControlNet with our ops in the place of torch's: one step as a program in torch would run it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.works import Arms, Work
from codi_export.ops.geglu import geglu
from codi_export.ops.group_norm_silu import group_norm_silu

SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8}  # what diffusers' defaults lack


class Norm(nn.Module):
    """A GroupNorm of channels-last tensors, and SiLU if asked for."""

    def __init__(self, norm: nn.GroupNorm, silu: bool) -> None:
        super().__init__()
        self.norm, self.silu = norm, silu

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        """[B, C, h, w] and, added to it, [B, C]."""
        n = self.norm
        pixels = x.permute(0, 2, 3, 1)
        y: Tensor = group_norm_silu(pixels, n.weight, n.bias, n.num_groups, n.eps, self.silu, None, shift)
        return y.permute(0, 3, 1, 2)


def patch(model: nn.Module) -> None:
    """In place: norms with the activation behind them and, in a residual block, the time embedding; and GEGLU."""
    for module in list(model.modules()):
        kind = type(module).__name__
        part: Any = module
        if kind == "ResnetBlock2D":
            part.norm1, part.norm2 = Norm(part.norm1, True), Norm(part.norm2, True)
            part.forward = partial(_resnet, part)
        elif kind == "Transformer2DModel":
            part.norm = Norm(part.norm, False)
        elif kind == "GEGLU":
            part.forward = partial(_geglu, part)
        elif kind == "UNet2DConditionModel":
            part.conv_norm_out, part.conv_act = Norm(part.conv_norm_out, True), nn.Identity()


def _resnet(block: Any, x: Tensor, temb: Tensor) -> Any:
    """`ResnetBlock2D.forward` without resampling and dropout, which Stable Diffusion's blocks lack."""
    shift = block.time_emb_proj(nn.functional.silu(temb))
    y = block.conv2(block.norm2(block.conv1(block.norm1(x)), shift))
    return (x if block.conv_shortcut is None else block.conv_shortcut(x)) + y


def _geglu(layer: Any, x: Tensor) -> Any:
    return geglu(layer.proj(x))


def models(device: str, dtype: torch.dtype, config: dict[str, Any]) -> tuple[Any, Any]:
    """A U-Net and a ControlNet without the condition's embedding, which is computed once a picture; random weights."""
    from diffusers import ControlNetModel, UNet2DConditionModel  # import Triton, which a dry run has a word with first

    torch.manual_seed(0)
    with torch.device(device):
        unet: Any = UNet2DConditionModel(**config)
        net: Any = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
        for zero in (*net.controlnet_down_blocks, net.controlnet_mid_block):
            nn.init.normal_(zero.weight, std=0.02)  # zeros would say nothing about the adapter
    net.controlnet_cond_embedding = nn.Identity()
    for model in (unet, net):
        nn.Module.to(model.eval(), dtype)  # diffusers' own warns of nothing
    return unet, net


def step(unet: Any, net: Any, z: Tensor, t: Tensor, prompt: Tensor, seen: Tensor) -> Tensor:
    """The prediction at z [1, 4, h, w] under a condition [1, C, h, w] that was embedded before."""
    down, middle = net(z, t, prompt, seen, return_dict=False)
    more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    prediction: Tensor = unet(z, t, prompt, **more, return_dict=False)[0]
    return prediction


def step_work(device: str, dtype: torch.dtype, config: dict[str, Any] | None = None, side: int = 64) -> Work:
    """One step of Stable Diffusion 1.5 at 512 pixels, or of `config`. Weights are read once at the least."""
    config = config or SD15
    weights = sum(p.numel() for model in models("meta", dtype, config) for p in model.parameters())
    element = torch.empty(0, dtype=dtype).element_size()

    def arm(last: bool, change: Callable[[Any], Any] = lambda model: None) -> Callable[[], Tensor]:
        held: list[Any] = []  # made at the first call: a small GPU holds one arm at a time

        @torch.no_grad()
        def call() -> Tensor:
            if not held:
                layout = torch.channels_last if last else torch.contiguous_format
                both = models(device, dtype, config)
                for model in both:
                    model.to(memory_format=layout)
                    change(model)
                generator = torch.Generator().manual_seed(1)
                facts = both[0].config
                wide = ((1, facts.in_channels, side, side), (1, facts.block_out_channels[0], side, side))
                shapes: tuple[tuple[int, ...], ...] = (*wide, (1, 77, facts.cross_attention_dim))
                z, seen, prompt = (torch.randn(s, generator=generator).to(device, dtype) for s in shapes)
                held.extend((*both, z.to(memory_format=layout), torch.tensor(499, device=device), prompt, seen))
            return step(*held)

        return call

    def make() -> Arms:
        return {
            "torch": arm(False),
            "torch channels_last": arm(True),
            "torch.compile channels_last": arm(True, lambda model: model.compile()),
            "codi": arm(True, patch),
        }

    return Work(f"U-Net and adapter step at {side}x{side}", weights * element, make, roundings=64)
