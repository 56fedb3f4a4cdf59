"""The training loop that every job shares: accelerate, EMA, checkpoints, a log, a progress bar.

All randomness of a step is drawn from (seed, step, process), so a resumed run needs no generator state.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

from . import board, checkpoint, diagnostics, history, page
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

    def loss(self, module: M, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and its parts, scalars to log."""
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
    run = Run(job, config, folder)
    step = run.start
    with tqdm(total=config.steps, initial=step, disable=not run.leads, mininterval=10, dynamic_ncols=True) as bar:
        for step, batch in _batches(job, config, run.accelerator.process_index, run.start):
            progress = fraction(config, step, run.elapsed())
            if progress >= 1:
                break
            row = run.advance(step, batch, learning_rate(config, step, progress))
            bar.update()
            done = step + 1
            if run.leads and done % config.log_every == 0:
                bar.set_postfix(run.log(done, row()))
            if run.leads and done % config.validate_every == 0:
                run.validate(done, f"grid-{done:06d}.png")
            if run.leads and done % config.save_every == 0:
                run.save(done)
    if run.leads:
        run.save(step)
        run.validate(step, "grid.png")
        page.make(folder)
    return run.ema.average


class Run(Generic[M]):
    """What a run keeps between steps: the module and its average, the optimiser, the clock."""

    def __init__(self, job: Job[M], config: TrainConfig, folder: Path) -> None:
        self.job, self.config, self.folder = job, config, folder
        self.accelerator = Accelerator(mixed_precision=config.mixed_precision)
        self.ema = Ema(job.module, saved_decay)
        trained = [parameter for parameter in job.module.parameters() if parameter.requires_grad]
        rate, decay = config.learning_rate, config.weight_decay
        optimizer = torch.optim.AdamW(trained, rate, config.betas, weight_decay=decay)
        self.module, self.optimizer = self.accelerator.prepare(job.module, optimizer)
        self.ema.average.to(self.accelerator.device)
        self.board = board.make(folder, config.tensorboard and self.leads)
        self.start, spent = self._resume()
        self.clock = time.monotonic() - spent

    @property
    def leads(self) -> bool:
        """Whether this process writes the log, the grids and the state."""
        return bool(self.accelerator.is_main_process)

    def elapsed(self) -> float:
        """Seconds of training, earlier sittings included."""
        return time.monotonic() - self.clock

    def advance(self, step: int, batch: Batch, rate: float) -> Callable[[], dict[str, float]]:
        """One optimiser step at learning rate `rate`; returns a function that reads the loss, so that a GPU is not
        made to wait for it."""
        accelerator = self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seed = _seed(self.config.seed, step, accelerator.process_index, 1)
        rng = torch.Generator(accelerator.device).manual_seed(seed)
        with accelerator.autocast():
            loss, parts = self.job.loss(self.module, {k: v.to(rng.device) for k, v in batch.items()}, rng)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(self.module.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        plain = accelerator.unwrap_model(self.module)
        self.ema.update(plain, step)
        self.job.stepped(plain, step)
        return lambda: {"loss": loss.item(), **{name: part.item() for name, part in parts.items()}}

    def log(self, step: int, row: dict[str, float]) -> dict[str, float]:
        """Append a line to the log; returns the row, rounded. A part that no sample had is NaN and is left out."""
        rounded = {name: float(f"{value:.5g}") for name, value in row.items() if not math.isnan(value)}
        self._append(step, rounded)
        return rounded

    def _append(self, step: int, row: history.Row) -> None:
        history.append(self.folder, {"step": step, "seconds": round(self.elapsed(), 1), **row})
        self.board(step, row)

    def validate(self, step: int, grid: str) -> None:
        """Score the average, draw the grid, and say which failure signatures show for the first time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        scores = self.job.validate(self.ema.average, self.folder / grid)
        self.log(step, {**scores, **diagnostics.of_history(history.read(self.folder))})
        for signature, warning in diagnostics.Watch().new(history.read(self.folder)).items():
            self._append(step, {"signature": signature, "warning": warning})
            tqdm.write(f"warning: step {step}: {warning}", file=sys.stderr)

    def save(self, step: int) -> None:
        """Write the state after `step` steps."""
        parts = {"module": self.accelerator.unwrap_model(self.module), "average": self.ema.average}
        state = {name: part.state_dict() for name, part in (parts | {"optimizer": self.optimizer}).items()}
        checkpoint.save(self.folder, {**state, "job": self.job.state(), "step": step, "elapsed": self.elapsed()})

    def _resume(self) -> tuple[int, float]:
        """(steps done, seconds spent) of the state in the folder, taken over; zeros without one."""
        state = checkpoint.load(self.folder)
        if state is None:
            return 0, 0.0
        self.accelerator.unwrap_model(self.module).load_state_dict(state["module"])
        self.ema.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.job.restore(state["job"])
        return int(state["step"]), float(state["elapsed"])


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
