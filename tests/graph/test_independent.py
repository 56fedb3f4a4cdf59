"""The exported graph against diffusers' own modules in a plain loop: nothing of our pipeline judges itself here.

Only the folders are shared. Resizing is Pillow's, the noise schedule is the scheduler's own table, and the update rules
are written out.
"""

import functools
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, CLIPTextModel

from codi_export import registry
from codi_export.graph import passes, store
from codi_export.graph.unroll import probes, unroll
from tests import tiny

VAES = {"epsilon": diffusers.AutoencoderKL, "v_prediction": diffusers.AutoencoderDC}


class Parts:
    """A toy's folders, opened with diffusers."""

    def __init__(self, kind: tiny.Kind) -> None:
        spec = tiny.recipe(kind).spec
        folder = Path(spec.model)
        self.kind = kind
        self.unet: Any = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        self.vae: Any = VAES[kind].from_pretrained(folder / "vae").eval()
        self.net: Any = diffusers.ControlNetModel.from_pretrained(spec.adapters[0]).float().eval()
        self.cumulative = diffusers.DDPMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod
        tokenizer: Any = AutoTokenizer.from_pretrained(folder / "tokenizer")
        ids = tokenizer([spec.prompt], padding="max_length", max_length=tiny.TOKENS, return_tensors="pt").input_ids
        self.prompt = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()(ids).last_hidden_state

    def encode(self, image: Tensor) -> Tensor:
        return self.vae.encode(image).latent * self.vae.config.scaling_factor

    def decode(self, x: Tensor) -> Tensor:
        shift = self.vae.config.get("shift_factor") or 0.0
        return self.vae.decode(x / self.vae.config.scaling_factor + shift).sample

    def clean(self, z: Tensor, t: int, condition: Tensor) -> Tensor:
        """The estimate of the clean latent."""
        down, mid = self.net(z, t, self.prompt, controlnet_cond=condition, return_dict=False)
        output = self.unet(
            z, t, self.prompt, down_block_additional_residuals=down, mid_block_additional_residual=mid
        ).sample
        a, s = self.cumulative[t].sqrt(), (1 - self.cumulative[t]).sqrt()
        return (z - s * output) / a if self.kind == "epsilon" else a * z - s * output


@functools.cache
def opened(kind: tiny.Kind) -> Parts:
    return Parts(kind)


def pillow_resize(image: Tensor, height: int, width: int) -> Tensor:
    """[1, 3, H, W] -> [1, 3, height, width], each plane as Pillow's 32-bit floats."""
    planes = [Image.fromarray(plane.numpy()).resize((width, height), Image.Resampling.BICUBIC) for plane in image[0]]
    return torch.from_numpy(np.stack([np.asarray(plane) for plane in planes]))[None]


@torch.no_grad()
def loop(kind: tiny.Kind, timesteps: list[int], sampler: str) -> tuple[list[Tensor], Tensor, NDArray[np.uint8]]:
    """x of every step, the picture in [-1, 1], the picture in levels."""
    parts = opened(kind)
    pixels, normal = tiny.inputs(kind)
    noise = torch.from_numpy(normal)
    small = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    height, width = small.shape[2:]
    condition = large = pillow_resize(small, 4 * height, 4 * width)
    if kind == "v_prediction":
        condition = torch.cat([F.pixel_unshuffle(large, tiny.FACTOR), parts.encode(2 * large - 1)], dim=1)
    z, estimates = noise, []
    for index, t in enumerate(timesteps):
        x = parts.clean(z, t, condition)
        estimates.append(x)
        if index + 1 < len(timesteps):
            now, then = parts.cumulative[t], parts.cumulative[timesteps[index + 1]]
            eps = noise if sampler == "prev" else (z - now.sqrt() * x) / (1 - now).sqrt()
            z = then.sqrt() * x + (1 - then).sqrt() * eps
    picture = parts.decode(estimates[-1])
    if kind == "v_prediction":  # trained with half of the low-resolution photo put back in
        missing = (2 * small - 1) - pillow_resize(picture, height, width)
        picture = picture + 0.5 * pillow_resize(missing, 4 * height, 4 * width)
    picture = picture.clamp(-1, 1)
    return estimates, picture, ((picture + 1) * 127.5).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()


@pytest.mark.parametrize("sampler", ["prev", "ddim"])
@pytest.mark.parametrize(("steps", "timesteps"), [(1, [999]), (2, [999, 499]), (4, [999, 739, 499, 239])])
@pytest.mark.parametrize("kind", tiny.KINDS)
def test_graph_equals_a_plain_loop(
    kind: tiny.Kind, steps: int, timesteps: list[int], sampler: str, tmp_path: Path
) -> None:
    schedule = next(s for s in tiny.recipe(kind).schedules if len(s) == steps)
    exported = tiny.exported(kind)
    store.save_weights(exported.models, tmp_path, "sr")
    model = unroll(exported, schedule, registry.get("samplers", sampler), "sr")
    passes.run(model)
    store.save(model, tmp_path / "sr-graph.onnx")
    store.save_probe(tmp_path / "sr-graph.onnx", tmp_path / "probe.onnx", probes(schedule))

    image, noise = tiny.inputs(kind)
    run = registry.get("backends", "onnxruntime").open(tmp_path / "probe.onnx", "cpu", 1)
    found = run({"image": image, "noise": noise})
    estimates, picture, levels = loop(kind, timesteps, sampler)
    # float32 spends 1e-7 a step and the network multiplies it: 1e-5 of the spread is 20 times what is seen here.
    for k, x in enumerate(estimates, start=1):
        np.testing.assert_allclose(found[f"step{k}/x"], x.numpy(), rtol=0, atol=1e-5 * float(x.std()))
    np.testing.assert_allclose(found["decode/picture"], picture.numpy(), rtol=0, atol=1e-4)
    assert np.abs(found["output"].astype(int) - levels).max() <= 1
