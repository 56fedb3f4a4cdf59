"""Train a CoDi adapter on a frozen backbone: the job that `codi-export distill` runs."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from codi_export import registry, schedule
from codi_export.model import adapter, fuse, lora
from codi_export.model import backbone as bb
from codi_export.model.denoiser import Denoiser, tables
from codi_export.spec import AdapterSpec, TaskSpec

from . import diagnostics, distances
from .config import DataConfig, settings
from .data import crops, degrade, pictures
from .data.tensors import centre, save_picture, to_signed
from .ema import Ema
from .step import CodiConfig, Draw, Models, Sample, Tables, codi_loss, draw
from .trainer import Batch

SECOND_SEED = 4  # pictures of a validation that are made by two seeds


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """`pe` trains the adapter, with a `lora_rank` also low-rank changes to the U-Net; `full` the whole U-Net.
    `condition`, `width`, `trunk` and `attention` are the
    adapter's shape (`model.adapter.new`); `degraded` is the share of samples that get the second-order degradation (the
    rest are plain bicubic); `drop_caption` how often the prompt is empty."""

    mode: Literal["pe", "full"] = "pe"
    lora_rank: int = 0
    condition: Literal["pixels", "unshuffled"] = "unshuffled"
    width: int = 64
    trunk: int = 0
    attention: bool = True
    degraded: float = 0.5
    drop_caption: float = 0.5


class Adapted(nn.Module):
    """What is trained: the adapter, and with it the U-Net (full mode) or low-rank changes to it."""

    def __init__(self, net: ControlNetModel, unet: UNet2DConditionModel | None = None) -> None:
        super().__init__()
        self.net = net
        self.unet = unet


class CodiJob:
    """The adapter is trained, in full mode the U-Net with it; the target network is the average of what is trained."""

    def __init__(
        self, task: TaskSpec, config: AdapterConfig, method: CodiConfig, data: DataConfig, folder: Path, model: Path
    ) -> None:
        self.task, self.config, self.method, self.data = task, config, method, data
        photos, self.held_out = pictures.split(pictures.load(folder, data.photos, data.exclude), data.held_out_photos)
        scenes, _ = pictures.split(pictures.load(folder, data.scenes, data.exclude), data.held_out_scenes)
        self.photos, self.scenes = photos, scenes
        self.backbone = bb.load(model)
        self.tables = Tables(*tables(self.backbone.alphas, self.backbone.sigmas))
        captions = sorted({picture.caption for picture in photos + scenes})
        self.captions = {caption: index for index, caption in enumerate(["", *captions])}
        self.prompts = bb.embed(model, list(self.captions))
        net = adapter.new(self.backbone, config.condition, config.width, config.trunk, config.attention)
        self.module = Adapted(net, self._own_unet()).train()
        self.target = Ema(self.module, lambda _: method.target_decay)
        self.distance = distances.make(method.distance, self.backbone.vae)

    def gradient_path(self) -> list[nn.Module]:
        """What is trained; a frozen U-Net, which the adapter's gradient comes through; the decoder of L_g."""
        decoder = [] if self.method.distance == "latent" else [self.backbone.vae]
        return [self.module, *([self.backbone.unet] if self.module.unet is None else []), *decoder]

    def frozen(self) -> list[nn.Module]:
        """The models that are used as they are."""
        return [self.backbone.unet, self.backbone.vae]

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`image` [B, 3, side, side] in [-1, 1], `small` [B, 3, side / scale, ...] in [0, 1], `caption` [B] indices."""
        side, count = crops.extent(self.data, size, rng)
        chosen = [crops.choose(self.photos, self.scenes, self.data.photo_share, rng) for _ in range(count)]
        cut = [crops.turn(crops.crop(p.pixels, side, rng, self.data.scale), rng) for p in chosen]
        small = np.stack([self._shrink(image, rng) for image in cut])
        captions = ["" if rng.random() < self.config.drop_caption else p.caption for p in chosen]
        indices = torch.tensor([self.captions[caption] for caption in captions])
        return {"image": to_signed(np.stack(cut)), "small": (to_signed(small) + 1) / 2, "caption": indices}

    def loss(self, module: Adapted, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The CoDi loss of `step.codi_loss`."""
        vae = self.backbone.vae.to(rng.device)
        with torch.no_grad():
            x = bb.encode(vae, batch["image"])
            condition = self._condition(batch["small"])
        prompt, empty = self.prompts[batch["caption"].cpu()], self.prompts[:1].expand(len(x), -1, -1)
        sample = Sample(x, batch["image"], condition, prompt.to(rng.device), empty.to(rng.device))
        teacher = Denoiser(self.backbone.unet.to(rng.device), None, self.backbone.prediction_type)
        target = self._denoiser(self.target.average.to(rng.device))
        models = Models(self._denoiser(module), target, teacher, self.distance)
        return codi_loss(models, self.tables, sample, self.draw(x, rng), self.method)

    def draw(self, x: Tensor, rng: torch.Generator) -> Draw:
        """Timesteps and noise for latents x."""
        return draw(x, self.method, rng)

    def stepped(self, module: Adapted, step: int) -> None:
        """The target network follows the adapter."""
        self.target.update(module, step)

    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        run = {"run.task": self.task.name, "run.model": fingerprint(self.backbone)}
        return run | settings(adapter=self.config, method=self.method, data=self.data)

    def state(self) -> dict[str, Any]:
        """The target network."""
        return {"target": self.target.average.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take the target network back."""
        self.target.average.load_state_dict(state["target"])

    @torch.no_grad()
    def validate(self, average: Adapted, picture: Path) -> dict[str, float]:
        """PSNR (dB) at two steps on the held-out photos' centres, and the figures of `diagnostics`; the grid shows
        inputs, results, originals.

        The figures are of plain bicubic inputs; a second seed sees the first SECOND_SEED of them.
        """
        scores = {"drift": diagnostics.drift(self.module, self.target.average)}
        images = np.stack([centre(p.pixels, 176) for p in self.held_out])
        shrink: dict[str, Callable[[pictures.Pixels, int], pictures.Pixels]] = {
            "bicubic": lambda image, _: degrade.bicubic(image, self.task.scale),
            "degraded": lambda image, index: degrade.degrade(image, np.random.default_rng(index), self.task.scale),
        }
        rows = []
        for name, make in shrink.items():
            small = torch.from_numpy(np.stack([make(image, index) for index, image in enumerate(images)]))
            made = self.restore_pictures(average, small, 2, self.facts())
            mse = (made - to_signed(images)).square().mean(dim=(1, 2, 3))
            scores[f"psnr_{name}"] = float((10 * torch.log10(4 / mse)).mean())
            if name == "bicubic":
                second = self.restore_pictures(average, small[:SECOND_SEED], 2, self.facts(), seed=1)
                scores |= diagnostics.of_pictures(made, to_signed(images), second)
            large = fuse.Enlarge(small.shape[1], small.shape[2], self.task.scale)(to_signed(small.numpy()))
            rows += [torch.cat(list(large[:6]), dim=2), torch.cat(list(made[:6]), dim=2)]
        save_picture(torch.cat([*rows, torch.cat(list(to_signed(images)[:6]), dim=2)], dim=1), picture)
        return scores

    def restore_pictures(self, module: Adapted, small: Tensor, steps: int, facts: AdapterSpec, seed: int = 0) -> Tensor:
        """uint8 [B, H, W, 3] -> [B, 3, H', W'] in [-1, 1], by the pipeline that is exported, as `facts` say."""
        height, width = small.shape[1:3]
        device = next(module.parameters()).device
        prompt = self.prompts[:1].to(device)
        pieces = fuse.pieces(self.backbone, self._denoiser(module), facts, self.task, (height, width), prompt)
        for piece in (pieces.condition, pieces.step, pieces.decode):
            piece.to(device)
        plan = schedule.make(
            schedule.timesteps(steps, facts)[0],
            self.backbone.alphas.tolist(),
            self.backbone.sigmas.tolist(),
            self.backbone.prediction_type,
        )
        ratio = self.task.scale / self.backbone.latent_factor
        size = (len(small), self.backbone.latent_channels, int(height * ratio), int(width * ratio))
        noise = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        sampler = registry.get("samplers", self.method.predictor)
        return fuse.run(pieces, plan, sampler, small.to(device), noise.to(device))[1].cpu()

    def facts(self) -> AdapterSpec:
        """What the adapter will say of itself."""
        return AdapterSpec(
            task=self.task.name,
            condition=self.config.condition,
            trunk=self.config.trunk,
            predictor=self.method.predictor,
            train_timesteps=len(self.backbone.alphas),
            L=self.method.L,
            gap=self.method.gap,
            timesteps={"1": (999,), "2": (999, 239), "3": (999, 499, 179), "4": (999, 599, 319, 119)},
        )

    def save(self, average: Adapted, folder: Path) -> None:
        """Write the adapter with its facts, and beside it what became of the U-Net."""
        adapter.save(average.net, self.facts(), folder)
        if average.unet is None:
            return
        if self.config.mode == "full":
            copy.deepcopy(average.unet).half().save_pretrained(folder / "unet")
        else:
            lora.save(average.unet, folder)

    def _own_unet(self) -> UNet2DConditionModel | None:
        unet = copy.deepcopy(self.backbone.unet)
        if self.config.mode == "full":
            return unet.requires_grad_(True)
        return lora.add(unet, self.config.lora_rank) if self.config.lora_rank else None

    def _denoiser(self, module: Adapted) -> Denoiser:
        device = next(module.parameters()).device
        unet = self.backbone.unet if module.unet is None else module.unet
        return Denoiser(unet.to(device), module.net, self.backbone.prediction_type)

    def _condition(self, small: Tensor) -> Tensor:
        large = fuse.Enlarge(small.shape[2], small.shape[3], self.task.scale).to(small.device)(small)
        return fuse.condition_image(self.config.condition, large, self.backbone.vae, self.backbone.latent_factor)

    def _shrink(self, image: pictures.Pixels, rng: np.random.Generator) -> pictures.Pixels:
        if rng.random() < self.config.degraded:
            return degrade.degrade(image, rng, self.task.scale)
        return degrade.bicubic(image, self.task.scale)


def fingerprint(backbone: bb.Backbone) -> str:
    """The model's name, and of its U-Net's weights enough to tell it from another of that name."""
    first: Tensor = backbone.unet.conv_in.weight
    return f"{backbone.folder.resolve().name} {hashlib.sha256(first.cpu().numpy().tobytes()).hexdigest()[:8]}"
