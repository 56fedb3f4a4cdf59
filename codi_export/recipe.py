"""BuildSpec -> Recipe: everything that the options name, loaded and found to fit together. Nothing is written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import nn

from codi_export import registry, zoo
from codi_export import schedule as schedules
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS, scaled
from codi_export.model import adapter as adapters
from codi_export.model import backbone as backbones
from codi_export.model import fuse, micro, text
from codi_export.model.adapter import Adapter
from codi_export.model.backbone import Backbone
from codi_export.model.denoiser import Denoiser
from codi_export.model.micro import Micro
from codi_export.model.parts import Weights
from codi_export.model.step import Step
from codi_export.model.text import Embedded
from codi_export.samplers import Sampler
from codi_export.spec import TOLERANCES, AdapterSpec, BuildSpec, Precision, Schedule, TensorSpec, Tolerance
from codi_export.targets import choose
from codi_export.tasks import TaskSpec


def precision_of(spec: BuildSpec) -> Precision:
    """What graphs with these options compute in."""
    return cast(Precision, choose(spec.precision, registry.get("targets", spec.target or "cpu")))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a build is made of. `size`: height and width of the output, in pixels; schedules as in `spec.steps`;
    `prompt`, `negative`: the fixed prompt and the negative one, embedded; `facts`: the first adapter's."""

    spec: BuildSpec
    task: TaskSpec
    sampler: Sampler
    backbone: Backbone
    adapters: tuple[Adapter, ...]
    scales: tuple[float, ...]
    facts: AdapterSpec
    schedules: tuple[Schedule, ...]
    size: tuple[int, int]
    prompt: Embedded
    negative: Embedded

    @property
    def text_input(self) -> bool:
        """Whether each call brings its own prompt."""
        return self.task.text or self.spec.text_input

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the engine is given."""
        image = self.image_shape
        mask = (TensorSpec("mask", "uint8", (*image[:3], 1)),) if self.task.mask else ()
        embeds = self.prompt.batch(self.spec.batch_size) if self.text_input else {}
        text = (TensorSpec(name, "float32", tuple(tensor.shape)) for name, tensor in embeds.items())
        scale = (TensorSpec("adapter_scale", "float32", ()),) if self.spec.adapter_scale_input else ()
        noise = TensorSpec("noise", "float32", self.noise_shape)
        return TensorSpec("image", "uint8", image), *mask, noise, *text, *scale

    @property
    def image_shape(self) -> tuple[int, int, int, int]:
        """[B, H, W, 3] of the input picture."""
        height, width = self.size
        return self.spec.batch_size, height // self.task.scale, width // self.task.scale, 3

    @property
    def noise_shape(self) -> tuple[int, int, int, int]:
        """[B, C, h, w]."""
        height, width = self.size
        factor = self.backbone.latent_factor
        return self.spec.batch_size, self.backbone.latent_channels, height // factor, width // factor

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """[B, H', W', 3] of the output picture."""
        return self.spec.batch_size, *self.size, 3

    @property
    def precision(self) -> Precision:
        """What the graph computes in; without a target graphs are for a CPU."""
        return precision_of(self.spec)

    @property
    def tolerance(self) -> Tolerance:
        """The precision's, or with the option's limit for the picture."""
        usual = TOLERANCES[self.precision]
        return replace(usual, image_psnr_db=self.spec.min_psnr) if self.spec.min_psnr else usual

    @property
    def networks(self) -> "tuple[nn.Module, ...]":
        """All that has weights in the bundle."""
        return self.backbone.unet, self.backbone.vae, *(adapter.net for adapter in self.adapters)

    @property
    def backbone_bytes(self) -> int:
        """What its tensors take as float16. A graph that needs no VAE encoder stores less."""
        return _bytes(self.backbone.unet) + _bytes(self.backbone.vae)

    @property
    def adapter_bytes(self) -> int:
        """Likewise."""
        return sum(_bytes(adapter.net) for adapter in self.adapters)

    def pieces(self) -> fuse.Pieces:
        """The modules to trace, with the prompt's embedding."""
        first, *others = (adapter.net for adapter in self.adapters)
        (prompt, pooled), (negative, negative_pooled) = self.prompt, self.negative
        micro = None if pooled is None else Micro(*self.size)
        denoiser = Denoiser(self.backbone.unet, first, self.backbone.prediction_type, others, self.scales, micro)
        step = Step(denoiser, negative, self.spec.guidance, self.spec.adapter_scale_input, negative_pooled)
        return fuse.pieces(self.backbone, step, self.facts, self.task, self.image_shape[1:3], prompt, pooled)

    def warnings(self, steps: int) -> tuple[str, ...]:
        """What the adapter was not trained for."""
        doubts = [schedules.timesteps(steps, self.facts)[1]]
        for adapter in self.adapters:
            if adapter.facts is None:
                doubts.append(f"{adapter.folder} has no {FACTS}: an ordinary adapter, not distilled for few steps")
        if self.adapters[0].facts is None:
            visited = ", ".join(str(t) for t in schedules.timesteps(steps, self.facts)[0])
            doubts.append(f"it is sampled with {self.sampler.name}, at t = {visited}")
        if self.sampler.name != self.facts.predictor:
            doubts.append(f"the adapter was trained for sampler '{self.facts.predictor}', not '{self.sampler.name}'")
        return tuple(doubt for doubt in doubts if doubt)


def prepare(spec: BuildSpec, backbone: Backbone | None = None, weights: Weights = "float32") -> Recipe:
    """Load what the options name; `backbone` is theirs if it is loaded already. Raises CodiError (unknown-name,
    bad-model, bad-option) for the first misfit."""
    task = registry.get("tasks", spec.task)
    backbone = backbone or backbones.load(zoo.folder(spec.model), spec.loras, spec.vae, weights)
    folders, scales = zip(*_adapters(spec), strict=True)
    loaded = tuple(adapters.load(folder, weights) for folder in folders)
    facts = loaded[0].facts or _ordinary(spec, len(backbone.alphas))
    sampler = registry.get("samplers", spec.sampler or facts.predictor)
    backbone = replace(backbone, unet=loaded[0].unet(backbone))
    for adapter in loaded:
        _require_task(adapter.facts or facts, spec, adapter.folder)
        adapters.require_fit(adapter, backbone, adapter.facts or facts)
    _require_summable(loaded, facts)
    size = _size(spec, task, backbone, facts.image_size or backbone.image_size)
    prompt, negative = _embed(spec, task, backbone)
    return Recipe(
        spec=spec,
        task=task,
        sampler=sampler,
        backbone=backbone,
        adapters=loaded,
        scales=scales,
        facts=facts,
        schedules=tuple(_schedule(steps, facts, backbone) for steps in spec.steps),
        size=size,
        prompt=prompt,
        negative=negative,
    )


def _embed(spec: BuildSpec, task: TaskSpec, backbone: Backbone) -> tuple[Embedded, Embedded]:
    """The prompt and the negative one, as the U-Net reads them."""
    texts = [task.prompt if spec.prompt is None else spec.prompt, spec.negative_prompt]
    said = text.embed(backbone.folder, texts, spec.loras)
    micro.require_fit(backbone.unet, said.pooled)
    if not spec.negative_prompt and text.zero_if_empty(backbone.folder):
        return said.one(0), said.zeros()
    return said.one(0), said.one(1)


def _ordinary(spec: BuildSpec, train_timesteps: int) -> AdapterSpec:
    """For an adapter that says nothing of its training: evenly spread timesteps from the noisiest on, and DDIM, which
    is Euler's method for models of noise. So are SD-Turbo and its like sampled."""
    lists = {str(n): schedules.trailing_timesteps(n, train_timesteps) for n in spec.steps}
    return AdapterSpec(spec.task, predictor="ddim", train_timesteps=train_timesteps, timesteps=lists)


def _bytes(module: "nn.Module") -> int:
    return sum(2 * tensor.numel() for tensor in module.parameters())


def _adapters(spec: BuildSpec) -> Sequence[tuple[Path, float]]:
    """Folders and scales."""
    if spec.adapters:
        return [scaled(option) for option in spec.adapters]
    if Path(spec.model).is_dir():
        raise CodiError(
            ErrorCode.BAD_OPTION, f"no adapter given for {spec.model}", "--adapter takes a folder with a ControlNet"
        )
    return [(zoo.adapter(spec.model, spec.task), 1.0)]


def _require_summable(loaded: Sequence[Adapter], facts: AdapterSpec) -> None:
    """Several adapters see one picture, and steer one U-Net."""
    for adapter in loaded[1:]:
        seen = (adapter.facts or facts).condition
        if seen != facts.condition:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{adapter.folder} reads the condition as '{seen}', {loaded[0].folder} as '{facts.condition}'",
                "adapters that are summed read it alike",
            )
    for adapter in loaded:
        if len(loaded) > 1 and adapter.own_unet:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{adapter.folder} brings a U-Net of its own, or changes to it, which no other adapter was trained for",
                "build it alone",
            )


def _require_task(facts: AdapterSpec, spec: BuildSpec, folder: Path) -> None:
    if facts.task != spec.task:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} was trained for task '{facts.task}', not '{spec.task}'",
            f"--task {facts.task} builds it",
        )


def _schedule(steps: int, facts: AdapterSpec, backbone: Backbone) -> Schedule:
    ts, _ = schedules.timesteps(steps, facts)
    return schedules.make(ts, backbone.alphas.tolist(), backbone.sigmas.tolist(), backbone.prediction_type)


def _size(spec: BuildSpec, task: TaskSpec, backbone: Backbone, usual: int) -> tuple[int, int]:
    """Output height and width: the options' or the usual side. Each level of the U-Net must halve them evenly."""
    unit = math.lcm(task.scale, backbone.latent_factor * backbone.unet_factor)
    height, width = spec.height or usual, spec.width or usual
    for option, pixels in (("--height", height), ("--width", width)):
        if pixels % unit:
            near = max(unit, round(pixels / unit) * unit)
            raise CodiError(
                ErrorCode.BAD_OPTION, f"{option} {pixels}: expected a multiple of {unit}", f"{option} {near} would do"
            )
    return height, width
