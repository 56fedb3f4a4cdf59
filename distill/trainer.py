"""The training loop that every job shares: accelerate, EMA, checkpoints, a log, a progress bar.

All randomness of a step is drawn from (seed, step, process), so a resumed run needs no generator state.
"""

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from . import checkpoint
from .config import TrainConfig
from .ema import Ema, saved_decay

Batch = dict[str, Tensor]
M = TypeVar("M", bound=nn.Module)


class Job(Protocol[M]):
    """What differs between runs: the trained module, its batches, its loss."""

    module: M

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` samples, on the CPU."""
        ...

    def loss(self, module: M, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise, and the parts to log."""
        ...

    def stepped(self, module: M, step: int) -> None:
        """Called after each optimiser step (a target network follows here)."""
        ...

    def state(self) -> dict[str, Any]:
        """What must be saved beside the module to resume."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        ...

    def validate(self, average: M, picture: Path) -> dict[str, float]:
        """Score the averaged module on the held-out slice and draw a grid of samples."""
        ...


def train(job: Job[M], config: TrainConfig, folder: Path) -> M:
    """Train until the budget of `config` is spent; returns the averaged module. A state in `folder` is resumed."""
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    ema = Ema(job.module, saved_decay)
    optimizer = torch.optim.AdamW(
        [p for p in job.module.parameters() if p.requires_grad],
        config.learning_rate,
        config.betas,
        weight_decay=config.weight_decay,
    )
    start, spent = _resume(job, ema, optimizer, folder)
    module, optimizer = accelerator.prepare(job.module, optimizer)
    ema.average.to(accelerator.device)
    clock = time.monotonic() - spent
    bar = tqdm(
        total=config.steps, initial=start, disable=not accelerator.is_main_process, mininterval=10, dynamic_ncols=True
    )
    for step, batch in _batches(job, config, accelerator.process_index, start):
        progress = fraction(config, step, time.monotonic() - clock)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, progress)
        rng = torch.Generator(accelerator.device).manual_seed(_seed(config.seed, step, accelerator.process_index, 1))
        with accelerator.autocast():
            loss, parts = job.loss(module, {k: v.to(accelerator.device) for k, v in batch.items()}, rng)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(module.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()
        plain = accelerator.unwrap_model(module)
        ema.update(plain, step)
        job.stepped(plain, step)
        bar.update()
        done = step + 1
        if accelerator.is_main_process and done % 20 == 0:
            _log(folder, bar, {"step": done, "seconds": time.monotonic() - clock, "loss": loss.item(), **parts})
        if accelerator.is_main_process and done % config.validate_every == 0:
            scores = job.validate(ema.average, folder / f"grid-{done:06d}.png")
            _log(folder, bar, {"step": done, "seconds": time.monotonic() - clock, **scores})
        if accelerator.is_main_process and done % config.save_every == 0:
            _save(folder, job, plain, ema, optimizer, done, time.monotonic() - clock)
    bar.close()
    if accelerator.is_main_process:
        _log(
            folder,
            bar,
            {"step": step, "seconds": time.monotonic() - clock, **job.validate(ema.average, folder / "grid.png")},
        )
    return ema.average


def fraction(config: TrainConfig, step: int, elapsed: float) -> float:
    """The share of the budget that is spent, by steps or by seconds, whichever is larger."""
    by_time = elapsed / config.seconds if config.seconds else 0.0
    return max(step / config.steps, by_time)


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine in `progress` from 0 to 1 down to the final rate."""
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    peak = config.final_learning_rate + (config.learning_rate - config.final_learning_rate) * cosine
    return peak * min(1.0, (step + 1) / max(1, config.warmup))


def _seed(seed: int, step: int, process: int, stream: int) -> int:
    return int(np.random.SeedSequence([seed, step, process, stream]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _batches(job: Job[M], config: TrainConfig, process: int, start: int) -> Iterator[tuple[int, Batch]]:
    """Batches from step `start` on; the next one is made on a thread while this one trains."""

    def make(step: int) -> Batch:
        return job.batch(np.random.default_rng(_seed(config.seed, step, process, 0)), config.batch_size)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, start)
        for step in range(start, config.steps + 1):
            batch, ahead = ahead.result(), pool.submit(make, step + 1)
            yield step, batch


def _log(folder: Path, bar: Any, row: dict[str, float]) -> None:
    row = {key: float(f"{value:.5g}") for key, value in row.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    bar.set_postfix({key: value for key, value in row.items() if key not in ("step", "seconds")})


def _save(
    folder: Path,
    job: Job[M],
    module: nn.Module,
    ema: Ema[M],
    optimizer: torch.optim.Optimizer,
    step: int,
    elapsed: float,
) -> None:
    parts = {"module": module.state_dict(), "average": ema.average.state_dict(), "optimizer": optimizer.state_dict()}
    checkpoint.save(folder, {**parts, "job": job.state(), "step": step, "elapsed": elapsed})


def _resume(job: Job[M], ema: Ema[M], optimizer: torch.optim.Optimizer, folder: Path) -> tuple[int, float]:
    state = checkpoint.load(folder)
    if state is None:
        return 0, 0.0
    job.module.load_state_dict(state["module"])
    ema.average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    job.restore(state["job"])
    return int(state["step"]), float(state["elapsed"])
