"""The arms of the experiments: what is trained, and the timesteps that it is sampled at.

Arms are shared by name: several experiments look at one training. All have the same data of their task, the same batch
and the same budget of optimiser steps; an arm in two stages splits it in halves (README.md 8 and 11).
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from codi_export import zoo
from codi_export.errors import CodiError, ErrorCode
from codi_export.tasks import TaskSpec, depth, sr

from .adapted import AdapterConfig
from .codi import CodiJob
from .config import DataConfig
from .data import pictures
from .step import CodiConfig

# Few-step quality depends on the list as much as on the loss, and no list is best for every arm. Most adapters want to
# end where some signal shows (plain numbers); `mini`'s for `sr`, whose condition says nearly all, stays at the noisy
# end (noisy); DDIM is at home on even ones. So lists have names, and an arm is judged at more than one.
LISTS: dict[str, tuple[int, ...]] = {
    "1": (999,),
    "2": (999, 239),
    "2 noisy": (999, 899),
    "2 even": (999, 499),
    "4": (999, 599, 319, 119),
    "4 noisy": (999, 979, 959, 939),
    "4 even": (999, 749, 499, 249),  # the grid of a sampler that guided distillation has halved to four steps
    "8": (999, 859, 739, 619, 499, 359, 239, 119),
    "50": tuple(range(999, 0, -20)),
}

# A simplified line drawing, black on white, to a picture. Not among codi_export.tasks: nothing was ever tuned for it,
# and no adapter of it is shipped.
SKETCH = TaskSpec("sketch")


@dataclass(frozen=True, slots=True)
class Arm:
    """One training, for `share` of the budget's steps. `after` names the arm that it goes on from: a trained adapter is
    teacher and start, a trained U-Net is the backbone.

    `lists` are those of LISTS that it is judged at; none for an arm that others only go on from. `rate` is the learning
    rate: that of `mini`'s adapters, or at most that of `mini`'s U-Net where the U-Net is trained. It is judged on the
    central `side` x `side` pixels of the pictures that `judged_on` names under --data.
    """

    task: TaskSpec
    adapter: AdapterConfig
    method: CodiConfig
    data: DataConfig
    lists: tuple[str, ...] = ()
    share: float = 1.0
    after: str = ""
    rate: float = 8e-4
    judged_on: str = "photos/eval"
    side: int = 96  # the smallest side of those photos is 180, but judging should not take as long as training


FEW = ("1", "2", "2 noisy", "4", "4 noisy")
EVEN = ("1", "2 even", "4 even")  # for samplers that follow the flow: the list that GD is trained on
U_NET_RATE = 4e-4  # the highest at which `mini`'s U-Net was ever trained (configs/mini-backbone.toml)

# Methods are those of configs/mini-sr.toml and, but for its distance and its still noisier draw of timesteps,
# configs/mini-depth.toml. To save time the trunk of `sr` is shorter than there, and crops are 32 pixels throughout.
# Arms are judged on the eval splits, so training holds next to nothing out.
PHOTOS = DataConfig(crops=(32,), held_out_photos=1, held_out_scenes=1, validation_crop=32)
SR = Arm(
    sr.TASK,
    AdapterConfig(trunk=4, attention=False, degraded=0.5, drop_caption=0.5, validate_steps=1),
    CodiConfig(weight=1.0, noise_bias=2.0),
    PHOTOS,
    FEW,
)
# Scenes are 128 pixels wide and are shrunk to 32: a crop is a whole scene.
SCENES = replace(PHOTOS, photos="", condition="depth", photo_share=0.0, scale=(0.25, 0.25), turns=False)
DEPTH = Arm(
    depth.TASK,
    AdapterConfig(trunk=4, reads=True, attention=False, drop_caption=0.1, validate_steps=1, image_size=32),
    CodiConfig(weight=1.0, noise_bias=3.0),
    SCENES,
    FEW,
    judged_on="scenes/eval-0000.tar",
    side=32,
)


def _stages(arm: Arm, prefix: str) -> dict[str, Arm]:
    """An arm and its two-stage rivals, in halves of the budget. `denoise` and `gd` draw their timesteps evenly, as
    their papers do; `cm` draws them as CoDi does, for it is sampled alike."""
    method, first = replace(arm.method, noise_bias=1.0), prefix + "denoise-first"
    denoise, bare = replace(method, objective="denoise"), replace(arm.adapter, mode="backbone")
    halved = replace(method, L=4, gap=250)  # the grid that EVEN lies on
    return {
        prefix + "codi": arm,
        first: replace(arm, method=denoise, lists=(), share=0.5),
        prefix + "gd-ii": replace(arm, method=replace(halved, objective="gd"), lists=EVEN, share=0.5, after=first),
        prefix + "cm-ii": replace(arm, method=replace(arm.method, objective="cm"), share=0.5, after=first),
        prefix + "gd-first": replace(
            arm, adapter=bare, method=replace(halved, objective="gd"), lists=(), share=0.5, rate=U_NET_RATE
        ),
        prefix + "gd-i": replace(
            arm, method=replace(halved, objective="denoise"), lists=EVEN, share=0.5, after=prefix + "gd-first"
        ),
    }


ARMS: dict[str, Arm] = {
    **_stages(replace(SR, lists=(*FEW, "8")), ""),
    "codi-ddim": replace(SR, method=replace(SR.method, predictor="ddim")),
    "codi-no-guidance": replace(SR, method=replace(SR.method, weight=0.0)),
    "controlnet": replace(
        SR, method=replace(SR.method, objective="denoise", noise_bias=1.0), lists=(*FEW, "2 even", "4 even", "8", "50")
    ),
    "codi-full": replace(SR, adapter=replace(SR.adapter, mode="full"), rate=U_NET_RATE),
    # The residuals' widths are the U-Net's, so what can be narrower is the way in: half the width, a quarter of the
    # trunk's weights.
    "codi-narrow": replace(SR, adapter=replace(SR.adapter, width=32)),
    # A T2I-Adapter reads pixels and has no trunk; the ControlNet beside it is given no more than that.
    "codi-t2i": replace(SR, adapter=replace(SR.adapter, kind="t2i", condition="pixels", trunk=0)),
    "codi-pixels": replace(SR, adapter=replace(SR.adapter, condition="pixels", trunk=0)),
    **_stages(DEPTH, "depth-"),
    "sketch-codi": replace(
        DEPTH, task=SKETCH, data=replace(SCENES, photos=PHOTOS.photos, condition="", photo_share=0.4)
    ),
}


load = functools.lru_cache(maxsize=4)(pictures.load)  # decoding takes as long as a short training


def get(name: str) -> Arm:
    """Raises CodiError (unknown-name) that lists what there is."""
    try:
        return ARMS[name]
    except KeyError:
        raise CodiError(ErrorCode.UNKNOWN_NAME, f"unknown arm '{name}'; available: {', '.join(ARMS)}") from None


def with_stages(names: list[str]) -> list[str]:
    """These arms and those that they go on from, which come first; each once."""
    return list(dict.fromkeys(one for name in names for one in (get(name).after, name) if one))


def job(arm: Arm, seed: int, data: Path, model: Path | str, first: Path | None = None) -> CodiJob:
    """What `trainer.train` trains; `seed` decides the new weights. `first` is what the arm before it left."""
    adapter, method = arm.adapter, arm.method
    if first and get(arm.after).adapter.mode == "backbone":
        model = first
    elif first:
        adapter, method = replace(adapter, start=str(first)), replace(method, teacher=str(first))
    torch.manual_seed(seed)
    return CodiJob(arm.task, adapter, method, arm.data, data, zoo.folder(str(model)), load)
