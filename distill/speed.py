"""How long the parts of a picture take, arm by arm in turns, so that a busy machine is as unkind to all of them.

Times depend on shapes alone, so the arms are measured untrained.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from codi_export import machine

from . import arms
from .trials import Plan

ROUNDS = 15
Part = Callable[[], object]


@torch.no_grad()
def measure(plan: Plan, names: Sequence[str], rounds: int = ROUNDS) -> dict[str, Any]:
    """Milliseconds of torch for one picture of the size that is judged: the condition once, a step, decoding; and the
    sums for 2 and 4 steps. Medians over `rounds`, the first left out."""
    parts = {name: _parts(plan, name) for name in names}
    samples: dict[str, dict[str, list[float]]] = {name: {part: [] for part in parts[name]} for name in names}
    for _ in range(rounds + 1):
        for name in names:
            for part, call in parts[name].items():
                samples[name][part].append(_milliseconds(call))
    medians = {name: {part: median(times[1:]) for part, times in samples[name].items()} for name in names}
    return {**machine.conditions(), "threads": torch.get_num_threads(), "arms": _with_sums(medians)}


def _with_sums(medians: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    sums = {
        name: {f"{n} steps": m["condition"] + n * m["step"] + m["decode"] for n in (2, 4)}
        for name, m in medians.items()
    }
    return {name: {key: round(ms, 2) for key, ms in {**m, **sums[name]}.items()} for name, m in medians.items()}


def _parts(plan: Plan, name: str) -> dict[str, Part]:
    """What a picture takes, each part ready to be called. Reads the pictures that are judged, not those to train on."""
    arm = arms.get(name)
    data = replace(arm.data, photos=arm.judged_on, scenes="", held_out_photos=1, validation_crop=arm.side)
    job = arms.job(replace(arm, data=data, method=replace(arm.method, objective="codi")), 0, plan.data, plan.model)
    seen = next(iter(job.seen().values()))
    module, prompt = job.module.eval(), job.prompt([""])
    pieces = job.pieces(module, (seen.shape[1], seen.shape[2]), prompt, job.facts())
    *condition, small = pieces.condition(seen, prompt, None)
    side = arm.side // job.backbone.latent_factor
    z = torch.zeros(1, job.backbone.latent_channels, side, side)
    t, alpha, sigma = map(torch.tensor, (499, 0.6, 0.8))  # any: a step's time does not depend on them

    def step() -> Tensor:
        x: Tensor = pieces.step(z, t, alpha, sigma, prompt, *condition)
        return x

    return {
        "condition": lambda: pieces.condition(seen, prompt, None),
        "step": step,
        "decode": lambda: pieces.decode(z, small),
    }


def _milliseconds(call: Part) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)
