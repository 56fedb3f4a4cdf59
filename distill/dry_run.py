"""A few real steps in memory: what a run would take, before it is begun."""

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from codi_export import machine

from .codi import CodiJob
from .config import TrainConfig
from .trainer import Run, batches_from, learning_rate

WARM_UP = 1
STEPS = 3


@dataclass(frozen=True, slots=True)
class DryRun:
    """Sizes in bytes, of this process. `peak` is measured: of the GPU's memory, or without one of the whole process
    since it began; `estimate` is weights, gradients, optimiser and averages, without activations. `budget_seconds` is
    what the config's steps and seconds come to."""

    trained_parameters: int
    trained_bytes: int
    frozen_parameters: int
    frozen_bytes: int
    optimizer_bytes: int
    average_bytes: int
    estimate_bytes: int
    peak_bytes: int
    peak_of: str
    seconds_per_step: float
    steps_per_hour: float
    budget_steps: int
    budget_seconds: float


def dry_run(job: CodiJob, config: TrainConfig) -> DryRun:
    """Train WARM_UP + STEPS steps, time the last STEPS, save nothing."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(job, replace(config, steps=WARM_UP + STEPS, seconds=0.0, tensorboard=False), Path(folder))
    started = 0.0
    for step, batches in islice(batches_from(job, run.config, run.accelerator.process_index, 0), WARM_UP + STEPS):
        row = run.advance(step, batches, learning_rate(config, step, 0.0))
        row["loss"].item()  # waits for the device
        started = time.monotonic() if step < WARM_UP else started
    return _report(job, config, run, (time.monotonic() - started) / STEPS)


def _report(job: CodiJob, config: TrainConfig, run: Run[Any], seconds: float) -> DryRun:
    own = list(job.module.parameters())
    trained = [p for p in own if p.requires_grad]
    frozen = [p for p in own if not p.requires_grad] + _parameters(job.frozen())
    moments = [v for state in run.optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    averages = _parameters([run.ema.average, job.target.average])
    sizes = [_bytes(tensors) for tensors in (trained, frozen, moments, averages)]
    whole = config.steps * seconds
    peak, what = _peak(run.accelerator.device)
    return DryRun(
        trained_parameters=sum(p.numel() for p in trained),
        trained_bytes=sizes[0],
        frozen_parameters=sum(p.numel() for p in frozen),
        frozen_bytes=sizes[1],
        optimizer_bytes=sizes[2],
        average_bytes=sizes[3],
        estimate_bytes=sizes[0] + sum(sizes),  # the gradients are as large as what is trained
        peak_bytes=peak,
        peak_of=what,
        seconds_per_step=round(seconds, 4),
        steps_per_hour=round(3600 / seconds, 1),
        budget_steps=config.steps,
        budget_seconds=round(min(whole, config.seconds) if config.seconds else whole, 1),
    )


def lines(found: DryRun) -> list[str]:
    """For people: sizes in MB (10^6 bytes), time in hours."""
    of = {"process": "the whole process", "gpu": "the GPU"}[found.peak_of]
    return [
        f"trained    {found.trained_parameters:>13,} parameters  {found.trained_bytes / 1e6:>10,.1f} MB",
        f"frozen     {found.frozen_parameters:>13,} parameters  {found.frozen_bytes / 1e6:>10,.1f} MB",
        f"optimiser  {'':>13}             {found.optimizer_bytes / 1e6:>10,.1f} MB",
        f"averages   {'':>13}             {found.average_bytes / 1e6:>10,.1f} MB, the target network and the kept one",
        f"estimate   {'':>13}             {found.estimate_bytes / 1e6:>10,.1f} MB with gradients, without activations",
        f"peak       {'':>13}             {found.peak_bytes / 1e6:>10,.1f} MB measured, {of}",
        f"speed      {found.seconds_per_step:.3g} s a step, {found.steps_per_hour:,.0f} steps an hour",
        f"budget     {found.budget_seconds / 3600:.2f} h; its {found.budget_steps:,} steps alone would take "
        f"{found.budget_steps * found.seconds_per_step / 3600:.2f} h",
    ]


def _parameters(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum((t.to_local() if isinstance(t, DTensor) else t).nbytes for t in tensors)


def _peak(device: torch.device) -> tuple[int, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "gpu"
    return machine.peak_bytes(), "process"
