"""Train an adapter on a frozen backbone, by CoDi or by a stage of its baselines: what `codi-export distill` runs."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from codi_export import registry, schedule
from codi_export.model import backbone as bb
from codi_export.model import fuse, text, trunk
from codi_export.model.denoiser import Denoiser, tables
from codi_export.model.step import Step
from codi_export.spec import AdapterSpec
from codi_export.tasks import TaskSpec

from . import adapted, diagnostics, distances, objectives, stages
from .adapted import Adapted, AdapterConfig
from .config import DataConfig, settings
from .data import conditions, crops, pictures, stream
from .data.tensors import centre, save_picture, to_signed, to_unit
from .ema import Ema
from .step import CodiConfig, Draw, Models, Sample, Tables, draw
from .text import remembering
from .trainer import Batch

SECOND_SEED = 4  # pictures of a validation that are made by two seeds
SHOWN = 6  # pictures in a validation grid
LISTS = {"1": (999,), "2": (999, 239), "3": (999, 499, 179), "4": (999, 599, 319, 119)}  # timesteps, until chosen
CAPTIONS = 256  # of each pool, to see what prompts are like
HELD_OUT = 12  # scenes to validate on, where there are no photos


class CodiJob:
    """The adapter is trained, in full mode the U-Net with it; the target network is the average of what is trained.

    Raises CodiError (bad-option) for an objective without the teacher that it needs, (bad-model) for a teacher or a
    start that does not fit. `load` reads the pictures; one that remembers saves many jobs in one process the time.
    """

    def __init__(
        self,
        task: TaskSpec,
        config: AdapterConfig,
        method: CodiConfig,
        data: DataConfig,
        folder: Path,
        model: Path,
        load: stream.Load = pictures.load,
    ) -> None:
        self.task, self.config, self.method, self.data = task, config, method, data
        self.makers = conditions.makers(task.name)
        self.photos, held_photos = stream.pool(folder, data.photos, data, data.held_out_photos, load)
        self.scenes, held_scenes = stream.pool(folder, data.scenes, data, data.held_out_scenes, load)
        self.held_out = pictures.to_validate(held_photos or held_scenes[:HELD_OUT], data.validation_crop)
        self.backbone = bb.load(model)
        self.text = text.load_text(model)
        self.embed = remembering(self.text.embed)
        self.tables = Tables(*tables(self.backbone.alphas, self.backbone.sigmas))
        self.module = adapted.new(config, self.backbone, task.condition_channels).train()
        if self.module.net is not None and config.reads and not config.start:
            trunk.centre(self.module.net, self.prompt(self._some_captions()))
        stages.require_teacher(method.objective, method.teacher, config.mode == "backbone")
        self.teacher = stages.teacher(method.teacher, self.backbone, self.facts())
        self.target = Ema(self.module, lambda _: method.target_decay)
        self.distance = distances.make(method.distance, self.backbone.vae)

    def _some_captions(self) -> list[str]:
        return [pool[index].caption for pool in (self.photos, self.scenes) for index in range(min(len(pool), CAPTIONS))]

    def gradient_path(self) -> list[nn.Module]:
        """What is trained; a frozen U-Net, which the adapter's gradient comes through; the decoder of L_g."""
        decoder = [self.backbone.vae] if self.method.distance in ("pixel", "perceptual") else []
        return [self.module, *([self.backbone.unet] if self.module.unet is None else []), *decoder]

    def frozen(self) -> list[nn.Module]:
        """The models that are used as they are."""
        return [self.backbone.unet, self.backbone.vae, self.text.encoder]

    def seek(self, step: int) -> None:
        """Streams move on."""
        for pool in (self.photos, self.scenes):
            if isinstance(pool, stream.Stream):
                pool.seek(step)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`image` [B, 3, side, side] in [-1, 1], `seen` [B, 3 or 4, side / scale, ...] in [0, 1], `tokens` [B, T]."""
        side, count = crops.extent(self.data, size, rng)
        chosen = [crops.choose(self.photos, self.scenes, self.data.photo_share, rng) for _ in range(count)]
        cut = [crops.turn(crops.crop(_views(p), side, rng, self.data.scale), rng, self.data.turns) for p in chosen]
        seen = [self._make(views, rng) for views in cut]
        captions = ["" if rng.random() < self.config.drop_caption else p.caption for p in chosen]
        image = to_signed(np.stack([views[0] for views in cut]))
        return {"image": image, "seen": to_unit(np.stack(seen)), "tokens": self.text.tokens(captions)}

    def loss(self, module: Adapted, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss that the method names: `step.codi_loss`, or one of `objectives`."""
        vae = self.backbone.vae.to(rng.device)
        with torch.no_grad():
            x = bb.encode(vae, batch["image"])
            condition = self._condition(batch["seen"])
        prompt = self.embed(batch["tokens"])
        empty = self.prompt([""]).to(rng.device).expand_as(prompt)
        sample = Sample(x, batch["image"], condition, prompt, empty)
        target = self._denoiser(self.target.average.to(rng.device))
        models = Models(self._denoiser(module), target, self.teacher.to(rng.device), self.distance)
        loss = objectives.OBJECTIVES[self.method.objective]
        return loss(models, self.tables, sample, self.draw(x, rng), self.method)

    def prompt(self, captions: list[str]) -> Tensor:
        """Embeddings [B, T, D]."""
        return self.embed(self.text.tokens(captions))

    def draw(self, x: Tensor, rng: torch.Generator) -> Draw:
        """Timesteps and noise for latents x."""
        return draw(x, objectives.grid(self.method), rng)

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
        """PSNR (dB) on the held-out pictures' centres, and the figures of `diagnostics`; the grid shows conditions,
        results, originals.

        The figures are of the first way to make a condition; a second seed sees the first SECOND_SEED of them.
        """
        scores = {"drift": diagnostics.drift(self.module, self.target.average)}
        steps, facts = self.config.validate_steps, self.facts()
        data, rows = to_signed(self.originals()), []
        for name, seen in self.seen().items():
            made = self.make_pictures(average, seen, steps, facts)
            mse = (made - data).square().mean(dim=(1, 2, 3))
            scores[f"psnr_{name}"] = float((10 * torch.log10(4 / mse)).mean())
            if "diversity" not in scores:
                second = self.make_pictures(average, seen[:SECOND_SEED], steps, facts, seed=1)
                scores |= diagnostics.of_pictures(made, data, second)
            rows += [self.enlarged(seen), made]
        grid = [torch.cat(list(row[:SHOWN]), dim=2) for row in (*rows, data)]
        save_picture(torch.cat(grid, dim=1), picture)
        return scores

    def hold_out(self, held_out: list[pictures.Picture], side: int) -> None:
        """Validate on the central `side` x `side` pixels of these, in place of a part of the training data."""
        self.data = replace(self.data, validation_crop=side)
        self.held_out = pictures.to_validate(held_out, side)

    def originals(self) -> pictures.Pixels:
        """What is validated against: the held-out pictures' centres, uint8 [B, side, side, 3]."""
        return np.stack([centre(p.pixels, self.data.validation_crop) for p in self.held_out])

    def seen(self) -> dict[str, Tensor]:
        """Their conditions, uint8 [B, h, w, 3 or 4], by each way to make them; always the same ones."""
        side = self.data.validation_crop
        cut = [(centre(p.pixels, side), _brought(p, side)) for p in self.held_out]
        return {
            name: torch.from_numpy(
                np.stack([make(*views, np.random.default_rng(index)) for index, views in enumerate(cut)])
            )
            for name, make in self.makers.items()
        }

    def enlarged(self, seen: Tensor) -> Tensor:
        """Conditions, uint8 [B, h, w, 3 or 4], as pictures of the output's size, [B, 3, H, W] in [-1, 1]."""
        large = fuse.Enlarge(seen.shape[1], seen.shape[2], self.task.scale)(to_unit(seen.numpy()))
        return fuse.condition_image("pixels", large, self.backbone.vae, self.backbone.latent_factor)[:, :3] * 2 - 1

    def make_pictures(self, module: Adapted, seen: Tensor, steps: int, facts: AdapterSpec, seed: int = 0) -> Tensor:
        """Conditions of held-out pictures, uint8 [B, h, w, 3 or 4] -> [B, 3, H, W] in [-1, 1], by the pipeline that is
        exported, as `facts` say; with their captions if the adapter mostly saw captions."""
        height, width = seen.shape[1:3]
        device = next(module.parameters()).device
        captioned = self.config.drop_caption < 0.5
        captions = [p.caption if captioned else self.task.prompt for p in self.held_out[: len(seen)]]
        prompt = self.prompt(captions).to(device)
        pieces = self.pieces(module, (height, width), prompt[:1], facts)
        plan = schedule.make(
            schedule.timesteps(steps, facts)[0],
            self.backbone.alphas.tolist(),
            self.backbone.sigmas.tolist(),
            self.backbone.prediction_type,
        )
        ratio = self.task.scale / self.backbone.latent_factor
        size = (len(seen), self.backbone.latent_channels, int(height * ratio), int(width * ratio))
        noise = torch.randn(size, generator=torch.Generator().manual_seed(seed))
        sampler = registry.get("samplers", objectives.sampler(self.method))
        image, noise, mask = seen[..., :3].to(device), noise.to(device), seen[..., 3:].to(device)
        return fuse.run(pieces, plan, sampler, image, noise, mask if self.task.mask else None, prompt)[1].cpu()

    def pieces(self, module: Adapted, size: tuple[int, int], prompt: Tensor, facts: AdapterSpec) -> fuse.Pieces:
        """What is exported, for conditions of `size` (height, width) pixels and a prompt [1, T, D]."""
        pieces = fuse.pieces(self.backbone, Step(self._denoiser(module)), facts, self.task, size, prompt)
        for piece in (pieces.condition, pieces.step, pieces.decode):
            piece.to(next(module.parameters()).device)
        return pieces

    def facts(self) -> AdapterSpec:
        """What the adapter will say of itself."""
        facts = AdapterSpec(
            task=self.task.name,
            condition=self.config.condition,
            trunk=self.config.trunk,
            reads=self.config.reads,
            predictor=objectives.sampler(self.method),
            train_timesteps=len(self.backbone.alphas),
            L=self.method.L,
            gap=self.method.gap,
            image_size=self.config.image_size,
            timesteps=LISTS,
        )
        if all((t + 1) % facts.gap == 0 for ts in LISTS.values() for t in ts):
            return facts
        # what was distilled on a coarse grid knows no timesteps beside it
        return replace(facts, timesteps={n: schedule.grid_timesteps(int(n), facts) for n in LISTS})

    def save(self, average: Adapted, folder: Path) -> None:
        """Write what was trained (`adapted.save`)."""
        adapted.save(average, self.config, self.facts(), self.backbone, folder)

    def _denoiser(self, module: Adapted) -> Denoiser:
        device = next(module.parameters()).device
        unet = self.backbone.unet if module.unet is None else module.unet
        return Denoiser(unet.to(device), module.net, self.backbone.prediction_type)

    def _condition(self, seen: Tensor) -> Tensor:
        large = fuse.Enlarge(seen.shape[2], seen.shape[3], self.task.scale).to(seen.device)(seen)
        return fuse.condition_image(self.config.condition, large, self.backbone.vae, self.backbone.latent_factor)

    def _make(self, views: list[pictures.Pixels], rng: np.random.Generator) -> pictures.Pixels:
        first, *others = self.makers.values()
        make = others[0] if others and rng.random() < self.config.degraded else first
        return make(views[0], views[1] if len(views) > 1 else None, rng)


def fingerprint(backbone: bb.Backbone) -> str:
    """The model's name, and of its U-Net's weights enough to tell it from another of that name."""
    first: Tensor = backbone.unet.conv_in.weight
    return f"{backbone.folder.resolve().name} {hashlib.sha256(first.cpu().numpy().tobytes()).hexdigest()[:8]}"


def _brought(picture: pictures.Picture, side: int) -> pictures.Pixels | None:
    return None if picture.condition is None else centre(picture.condition, side)


def _views(picture: pictures.Picture) -> list[pictures.Pixels]:
    """The picture, and the condition if the data brings one; they are cut alike."""
    return [picture.pixels] if picture.condition is None else [picture.pixels, picture.condition]
