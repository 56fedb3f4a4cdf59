"""The pieces that are traced: condition (once), one denoising step (N times), decode (once).

Each is a module over named tensors; `graph.unroll` joins their graphs. The torch pipeline `run` drives the same pieces
and is what a graph is compared with.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codi_export.model import backbone as bb
from codi_export.model.backbone import Backbone
from codi_export.model.resize import bicubic_matrix, resize
from codi_export.model.step import Step
from codi_export.samplers import Sampler
from codi_export.spec import AdapterSpec, Schedule
from codi_export.tasks import TaskSpec


class Enlarge(nn.Module):
    """Bicubic enlargement of [B, C, H, W] by a whole factor; factor 1 changes nothing."""

    rows: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("rows", bicubic_matrix(height, height * scale).float(), persistent=False)
        self.register_buffer("columns", bicubic_matrix(width, width * scale).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return image if self.scale == 1 else resize(image, self.rows, self.columns)


def condition_image(kind: str, large: Tensor, vae: nn.Module, factor: int) -> Tensor:
    """What the adapter looks at, from the condition at output size, [B, 3, H, W] in [0, 1], or [B, 4, H, W] with a
    mask, under which the picture is hidden by grey.

    `pixels`: that picture itself. `unshuffled`: the same pixels at latent size, [B, 3 f^2, h, w], and the picture's
    latent: a ControlNet's strides would average away what is already aligned.
    """
    if large.shape[1] == 4:
        picture, mask = large[:, :3], large[:, 3:]
        large = torch.cat([picture * (1 - mask) + 0.5 * mask, mask], dim=1)
    if kind == "pixels":
        return large
    return torch.cat([F.pixel_unshuffle(large, factor), bb.encode(vae, large[:, :3] * 2 - 1)], dim=1)


class Condition(nn.Module):
    """uint8 image -> what stays the same over the steps."""

    def __init__(self, step: Step, vae: nn.Module, facts: AdapterSpec, enlarge: Enlarge, factor: int) -> None:
        super().__init__()
        self.step = step
        self.vae = vae
        self.kind = facts.condition
        self.enlarge = enlarge
        self.factor = factor

    def forward(self, image: Tensor, prompt: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """image uint8 [B, H, W, 3], prompt [B, T, D], mask uint8 [B, H, W, 1] -> what the denoiser makes of the
        condition (`Step.embed_condition`) and, last, what was seen: [B, 3 or 4, H, W] in [0, 1], a mask 0 or 1."""
        seen = image.float().permute(0, 3, 1, 2) / 255  # a cast first: TensorRT moves no uint8
        if mask is not None:
            seen = torch.cat([seen, (mask.float() > 127).float().permute(0, 3, 1, 2)], dim=1)
        looked_at = condition_image(self.kind, self.enlarge(seen), self.vae, self.factor)
        return *self.step.embed_condition(looked_at, prompt), seen


class Decode(nn.Module):
    """Clean latent -> picture, with what the input says put back in: a small photo's pixels, a mask's surroundings."""

    down_rows: Tensor
    down_columns: Tensor

    def __init__(self, vae: nn.Module, enlarge: Enlarge, weight: float) -> None:
        super().__init__()
        self.vae = vae
        self.enlarge = enlarge
        self.weight = weight if enlarge.scale > 1 else 0.0
        height, width = enlarge.rows.shape[0], enlarge.columns.shape[0]
        self.register_buffer("down_rows", bicubic_matrix(height, height // enlarge.scale).float(), persistent=False)
        self.register_buffer("down_columns", bicubic_matrix(width, width // enlarge.scale).float(), persistent=False)

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, C, h, w], seen [B, 3 or 4, H, W] in [0, 1] -> uint8 [B, H', W', 3], and float [B, 3, H', W'] in
        [-1, 1]."""
        return self.finish(bb.decode(self.vae, x), seen)

    def finish(self, picture: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What follows the VAE: `picture` [B, 3, H', W'], about [-1, 1]."""
        if self.weight:
            picture = back_project(picture, seen * 2 - 1, self.enlarge, self.down_rows, self.down_columns, self.weight)
        if seen.shape[1] == 4:
            known, mask = seen[:, :3] * 2 - 1, seen[:, 3:]
            picture = known * (1 - mask) + picture * mask
        picture = picture.clamp(-1, 1)
        levels = ((picture + 1) * 127.5 + 0.5).floor().clamp(0, 255)
        return levels.permute(0, 2, 3, 1).to(torch.uint8), picture


def back_project(
    picture: Tensor, small: Tensor, enlarge: Enlarge, rows: Tensor, columns: Tensor, weight: float
) -> Tensor:
    """y + weight up(small - down(y)): what the low-resolution photo says, put back in. Both in [-1, 1]."""
    missing: Tensor = enlarge(small - resize(picture, rows, columns))
    return picture + weight * missing


@dataclass(frozen=True, slots=True)
class Pieces:
    """What is exported. `prompt` [1, T, D] is the fixed prompt's embedding, `pooled` [1, P] the whole of it for an
    SDXL."""

    condition: Condition
    step: Step
    decode: Decode
    prompt: Tensor
    pooled: Tensor | None = None


def pieces(
    backbone: Backbone,
    step: Step,
    facts: AdapterSpec,
    task: TaskSpec,
    size: tuple[int, int],
    prompt: Tensor,
    pooled: Tensor | None = None,
) -> Pieces:
    """The three pieces for inputs of `size` (height, width) pixels."""
    enlarge = Enlarge(*size, task.scale)
    return Pieces(
        condition=Condition(step, backbone.vae, facts, enlarge, backbone.latent_factor),
        step=step,
        decode=Decode(backbone.vae, enlarge, facts.backprojection),
        prompt=prompt,
        pooled=pooled,
    )


@torch.no_grad()
def run(
    pieces: Pieces,
    schedule: Schedule,
    sampler: Sampler,
    image: Tensor,
    noise: Tensor,
    mask: Tensor | None = None,
    prompt_embeds: Tensor | None = None,
    pooled_prompt_embeds: Tensor | None = None,
    adapter_scale: Tensor | None = None,
) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
    """The pipeline in torch: (uint8 image, float image, [x of every step]).

    image uint8 [B, H, W, 3], noise [B, C, h, w], mask uint8 [B, H, W, 1] where the task has one; prompt_embeds
    [B, T, D], and pooled_prompt_embeds [B, P] of an SDXL, stand in for the fixed prompt; adapter_scale [] if the step
    takes one. Every step estimates x; the sampler mixes the next latent; the last x is decoded (distill/README.md 4).
    """
    prompt = pieces.prompt.expand(len(image), -1, -1) if prompt_embeds is None else prompt_embeds
    *condition, seen = pieces.condition(image, prompt, mask)
    fixed = None if pieces.pooled is None else pieces.pooled.expand(len(image), -1)
    pooled = fixed if pooled_prompt_embeds is None else pooled_prompt_embeds
    given = [tensor for tensor in (pooled, adapter_scale) if tensor is not None]
    z, estimates = noise, []
    for index, step in enumerate(schedule.steps):
        t, alpha, sigma = (torch.tensor(value) for value in (step.t, step.alpha, step.sigma))
        x = pieces.step(z, t, alpha, sigma, prompt, *condition, *given)
        estimates.append(x)
        if index + 1 < len(schedule):
            mix = sampler.update(step, schedule.steps[index + 1])
            z = mix.x * x + mix.z * z + mix.noise * noise
    levels, picture = pieces.decode(estimates[-1], seen)
    return levels, picture, estimates
