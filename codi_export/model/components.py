"""A recipe as the parts that a pipeline calls one by one: text encoder, condition, U-Net with its adapters, VAE, and
what is done to the picture last. Inputs and outputs are called as optimum's ONNX pipelines call them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from numpy.typing import NDArray
from torch import Tensor, nn

from codi_export.model import backbone as bb
from codi_export.model import prediction
from codi_export.model.backbone import Backbone
from codi_export.model.fuse import Decode, Pieces
from codi_export.model.step import Step
from codi_export.model.storage import computing_in_float32
from codi_export.model.text import Encoders, Text


@dataclass(frozen=True, slots=True)
class Component:
    """A module, with an example of each input, by name, and what its outputs are called; `config` is what its folder
    says of it beside the graph, or nothing."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def run(self) -> dict[str, NDArray[Any]]:
        """What torch makes of the examples, in float32."""
        with computing_in_float32(self.module):
            made = self.module(*self.inputs.values())
        tensors = made if isinstance(made, tuple) else (made,)
        return {name: tensor.numpy() for name, tensor in zip(self.outputs, tensors, strict=True)}

    @property
    def examples(self) -> dict[str, NDArray[Any]]:
        """The inputs as arrays."""
        return {name: np.asarray(tensor) for name, tensor in self.inputs.items()}


class Predict(nn.Module):
    """sample [B, C, h, w], under guidance [2B, C, h, w], at timestep [] -> what the backbone's prediction type says,
    adapters included. What a trunk adds to the estimate itself is put into the prediction, so that any scheduler finds
    it there."""

    alphas: Tensor
    sigmas: Tensor

    def __init__(self, step: Step, backbone: Backbone) -> None:
        super().__init__()
        self.denoiser = step.denoiser
        self.takes_scale = step.takes_scale
        self.kind = backbone.prediction_type
        self.register_buffer("alphas", backbone.alphas.float(), persistent=False)
        self.register_buffer("sigmas", backbone.sigmas.float(), persistent=False)

    def forward(self, sample: Tensor, timestep: Tensor, prompt: Tensor, *condition: Tensor) -> Tensor:
        """`condition` as `Step` takes it."""
        scale = condition[-1] if self.takes_scale else 1.0
        embedded = condition[:-1] if self.takes_scale else condition
        alpha, sigma = self.alphas[timestep], self.sigmas[timestep]
        x, eps = self.denoiser.x_eps(sample, timestep, alpha, sigma, prompt, embedded, scale)
        return prediction.of(self.kind, x, eps, alpha, sigma)


class DecodeLatent(nn.Module):
    """latent_sample [B, C, h, w], divided by the VAE's scale already -> picture [B, 3, H', W'], about [-1, 1]."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_sample: Tensor) -> Tensor:
        scale, _ = bb.scale_shift(self.vae)
        return bb.decode(self.vae, latent_sample * scale)


class EncodePicture(nn.Module):
    """Picture [B, 3, H', W'] in [-1, 1] -> its latent [B, C, h, w], not yet multiplied by the VAE's scale."""

    def __init__(self, vae: nn.Module) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, sample: Tensor) -> Tensor:
        scale, _ = bb.scale_shift(self.vae)
        return bb.encode(self.vae, sample) / scale


class Finish(nn.Module):
    """Picture [B, 3, H', W'] and `seen`, as `Decode` takes it -> uint8 [B, H', W', 3] and [B, 3, H', W']: what follows
    the VAE in `Decode`."""

    def __init__(self, decode: Decode) -> None:
        super().__init__()
        self.decode = Decode(nn.Identity(), decode.enlarge, decode.weight)

    def forward(self, sample: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode.finish(sample, seen)


@torch.no_grad()
def split(backbone: Backbone, pieces: Pieces, text: Text, inputs: dict[str, NDArray[Any]]) -> Iterator[Component]:
    """The components for an engine's `inputs` (`fuse.run`), in the order of the work."""
    step, decode = pieces.step, pieces.decode
    noise = torch.from_numpy(inputs["noise"])
    prompt = pieces.prompt.expand(len(noise), -1, -1).contiguous()
    given = {"image": torch.from_numpy(inputs["image"]), "prompt_embeds": prompt}
    given |= {"mask": torch.from_numpy(inputs["mask"])} if "mask" in inputs else {}
    with computing_in_float32(pieces.condition):
        *embedded, seen = pieces.condition(*given.values())
        picture = bb.decode(decode.vae, noise)
    condition = {f"condition{k}": tensor for k, tensor in enumerate(embedded, start=1)}
    called = {"sample": noise, "timestep": torch.tensor(1), "encoder_hidden_states": prompt}
    if step.guidance != 1:  # a pipeline calls both halves in one batch
        called |= {"sample": torch.cat([noise, noise]), "encoder_hidden_states": torch.cat([step.negative, prompt])}
    scale = {"adapter_scale": torch.tensor(0.7)} if step.takes_scale else {}
    unet, vae = _config(backbone.unet) | {"sample_size": _side(noise)}, _vae_config(decode.vae)
    ids, words = {"input_ids": text.tokens(["a photo"])}, text.encoder.config.to_dict()
    yield Component("text_encoder", Encoders([text]), ids, ("last_hidden_state",), words)
    yield Component("condition", pieces.condition, given, (*condition, "seen"))
    yield Component("unet", Predict(step, backbone), {**called, **condition, **scale}, ("out_sample",), unet)
    yield Component("vae_decoder", DecodeLatent(decode.vae), {"latent_sample": noise}, ("sample",), vae)
    yield Component("vae_encoder", EncodePicture(decode.vae), {"sample": picture}, ("latent_sample",), vae)
    yield Component("finish", Finish(decode), {"sample": picture, "seen": seen}, ("output", "picture"))


def _config(module: Any) -> dict[str, Any]:
    """As diffusers writes it, without the place that it came from."""
    return {name: value for name, value in module.config.items() if name != "_name_or_path"} | {
        "_class_name": type(module).__name__
    }


def _vae_config(vae: nn.Module) -> dict[str, Any]:
    """With what pipelines ask every VAE: its scale, and a width for each level."""
    config = _config(vae)
    widths = config.get("block_out_channels") or config["encoder_block_out_channels"]
    return config | {"scaling_factor": bb.scale_shift(vae)[0], "block_out_channels": widths}


def _side(latent: Tensor) -> int | list[int]:
    """What a U-Net's `sample_size` is for such latents."""
    height, width = latent.shape[-2:]
    return height if height == width else [height, width]


def scheduler(backbone: Backbone) -> DDIMScheduler:
    """DDIM over the backbone's noise, from the noisiest timestep on: the sampler of few steps that diffusers has."""
    made = DDIMScheduler.from_config(
        bb.load_scheduler(backbone.folder).config,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=False,
        steps_offset=1,
    )
    assert isinstance(made, DDIMScheduler)
    return made
