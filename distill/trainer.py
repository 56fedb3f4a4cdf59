"""The training loop that every job shares: accelerate, EMA, checkpoints, a log, a progress bar.

All randomness of a step is drawn from (seed, step, process), so a resumed run needs no generator state.
"""

import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn
from tqdm import tqdm

from codi_export.errors import CodiError, ErrorCode

from . import activations, board, checkpoint, diagnostics, history, page, sharding
from .config import TrainConfig, settings
from .ema import Ema, saved_decay

Batch = dict[str, Tensor]
M = TypeVar("M", bound=nn.Module)


class Job(Protocol[M]):
    """What differs between runs: the trained module, its batches, its loss."""

    module: M

    def gradient_path(self) -> list[nn.Module]:
        """The modules that the loss's gradient flows through, trained or not."""
        ...

    def seek(self, step: int) -> None:
        """Called before the batches of a step are made (streamed data moves on here)."""
        ...

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` samples, on the CPU."""
        ...

    def loss(self, module: M, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise, and its parts, scalars to log."""
        ...

    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
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
    """Train until the budget of `config` is spent; returns the averaged module. A state in `folder` is resumed.

    Raises CodiError (diverged) at the first loss or gradient that is not finite: the last saved state stays;
    (bad-option) if that state was made with other settings.
    """
    run = Run(job, config, folder)
    step = run.start
    with tqdm(total=config.steps, initial=step, disable=not run.leads, mininterval=10, dynamic_ncols=True) as bar:
        for step, batches in batches_from(job, config, run.accelerator.process_index, run.start):
            progress = run.progress(step)
            if progress >= 1:
                break
            row = run.advance(step, batches, learning_rate(config, step, progress))
            bar.update()
            done = step + 1
            if done % config.log_every == 0:
                bar.set_postfix(run.log(done, run.mean(row)))
            if done % config.validate_every == 0:
                run.validate(done, f"grid-{done:06d}.png")
            if done % config.save_every == 0:
                run.save(done)
    run.save(step)
    run.validate(step, "grid.png")
    if run.leads:
        page.make(folder)
    return run.ema.average


class Loss(nn.Module, Generic[M]):
    """A job's loss as a module: with several processes, gradients are averaged only for what runs inside `forward`."""

    def __init__(self, job: Job[M]) -> None:
        super().__init__()
        self.job = job
        self.trained = job.module

    def forward(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return self.job.loss(self.trained, batch, rng)


class Run(Generic[M]):
    """What a run keeps between steps: the module and its average, the optimiser, the clock."""

    def __init__(self, job: Job[M], config: TrainConfig, folder: Path) -> None:
        self.job, self.config, self.folder = job, config, folder
        self.accelerator = Accelerator(mixed_precision=config.mixed_precision)
        self.ema = Ema(job.module, saved_decay)
        if config.gradient_checkpointing:
            activations.recompute(job.gradient_path())
        self.loss = self._wrapped()
        trained = [parameter for parameter in job.module.parameters() if parameter.requires_grad]
        rate, decay = config.learning_rate, config.weight_decay
        optimizer = torch.optim.AdamW(trained, rate, config.betas, weight_decay=decay)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.ema.average.to(self.accelerator.device)
        self.board = board.make(folder, config.tensorboard and self.leads)
        self.start, spent = self._resume()
        self.clock = time.monotonic() - spent

    def _wrapped(self) -> nn.Module:
        loss = Loss(self.job)
        if self.config.sharding == "fsdp":
            return sharding.shard(loss, self.accelerator.device)
        return cast(nn.Module, self.accelerator.prepare_model(loss))

    @property
    def leads(self) -> bool:
        """Whether this process writes the log, the grids and the state."""
        return bool(self.accelerator.is_main_process)

    @property
    def module(self) -> M:
        """What is trained, out of its wrappers."""
        return self.accelerator.unwrap_model(self.loss).trained  # type: ignore[no-any-return]

    def elapsed(self) -> float:
        """Seconds of training, earlier sittings included."""
        return time.monotonic() - self.clock

    def progress(self, step: int) -> float:
        """The share of the budget that is spent, by the first process's clock, so that all end at the same step."""
        spent = fraction(self.config, step, self.elapsed())
        if self.accelerator.num_processes > 1:
            spent = float(broadcast(torch.tensor(spent, device=self.accelerator.device)))
        return spent

    def advance(self, step: int, batches: Sequence[Batch], rate: float) -> dict[str, Tensor]:
        """One optimiser step at learning rate `rate`, over the mean of the batches; returns the loss and its parts."""
        accelerator = self.accelerator
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        seed = _seed(self.config.seed, step, accelerator.process_index, 1)
        rng = torch.Generator(accelerator.device).manual_seed(seed)
        rows = []
        for batch in batches:
            last = batch is batches[-1]
            with nullcontext() if last else accelerator.no_sync(self.loss), accelerator.autocast():
                loss, parts = self.loss({k: v.to(rng.device) for k, v in batch.items()}, rng)
                self._require_finite("loss", loss, step)
                accelerator.backward(loss / len(batches))
            rows.append({"loss": loss.detach(), **{name: part.detach() for name, part in parts.items()}})
        norm = sharding.gather(accelerator.clip_grad_norm_(self.module.parameters(), self.config.clip))
        if accelerator.scaler is None:  # a loss scaler looks for overflow itself, and skips the step
            self._require_finite("gradient", norm, step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with sharding.gathered(self.loss):  # the averages are whole in every process
            self.ema.update(self.module, step)
            self.job.stepped(self.module, step)
        return {name: torch.stack([row[name] for row in rows]).nanmean() for name in rows[0]}

    def mean(self, row: dict[str, Tensor]) -> dict[str, float]:
        """The mean over processes; every one must ask."""
        if self.accelerator.num_processes > 1:
            row = self.accelerator.reduce(row, "mean")
        return {name: value.item() for name, value in row.items()}

    def _require_finite(self, what: str, value: Tensor, step: int) -> None:
        if not torch.isfinite(value).all():
            seed = f"seed {self.config.seed}, process {self.accelerator.process_index}"
            raise CodiError(
                ErrorCode.DIVERGED,
                f"the {what} is {value.item()} at step {step} (batch {step} of {seed})",
                f"what was saved in {self.folder} before stays as it was; lower learning_rate, or see the warnings "
                "of distill/README.md 3",
            )

    def log(self, step: int, row: dict[str, float]) -> dict[str, float]:
        """Append a line to the log (the first process does); returns the row, rounded. A part that no sample had is
        NaN and is left out."""
        rounded = {name: float(f"{value:.5g}") for name, value in row.items() if not math.isnan(value)}
        if self.leads:
            self._append(step, rounded)
        return rounded

    def _append(self, step: int, row: history.Row) -> None:
        history.append(self.folder, {"step": step, "seconds": round(self.elapsed(), 1), **row})
        self.board(step, row)

    def validate(self, step: int, grid: str) -> None:
        """Score the average, draw the grid, and say which failure signatures show for the first time. The first process
        does so; under sharding every one must come, for the job may look at the module."""
        with sharding.gathered(self.loss):
            if self.leads:
                self._validate(step, grid)

    def _validate(self, step: int, grid: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scores = self.job.validate(self.ema.average, self.folder / grid)
        self.log(step, {**scores, **diagnostics.of_history(history.read(self.folder))})
        for signature, warning in diagnostics.Watch().new(history.read(self.folder)).items():
            self._append(step, {"signature": signature, "warning": warning})
            tqdm.write(f"warning: step {step}: {warning}", file=sys.stderr)

    def save(self, step: int) -> None:
        """Write the state after `step` steps: the first process does, and under sharding every one must come."""
        parts = {"module": self.module, "average": self.ema.average, "optimizer": self.optimizer}
        state = sharding.whole({name: part.state_dict() for name, part in parts.items()}, self.leads)
        facts = {"settings": self._settings(), "step": step, "elapsed": self.elapsed()}
        if self.leads:
            checkpoint.save(self.folder, {**state, "job": self.job.state(), **facts})

    def _settings(self) -> dict[str, Any]:
        return {**self.job.settings(), **settings(train=self.config)}

    def _resume(self) -> tuple[int, float]:
        """(steps done, seconds spent) of the state in the folder, taken over; zeros without one."""
        state = checkpoint.load(self.folder)
        if state is None:
            return 0, 0.0
        for name, value in self._settings().items():
            if state["settings"].get(name, value) != value:  # an older run does not know the newest settings
                raise CodiError(
                    ErrorCode.BAD_OPTION,
                    f"the run in {self.folder} has {name} = {state['settings'].get(name)!r}, not {value!r}",
                    "resume it with its own settings, or give the new run another -o",
                )
        sharding.load(self.module, self.optimizer, state["module"], state["optimizer"])
        self.ema.average.load_state_dict(state["average"])
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


def batches_from(job: Job[M], config: TrainConfig, process: int, start: int) -> Iterator[tuple[int, list[Batch]]]:
    """Batches from step `start` on; the next step's are made on a thread while this one trains."""

    def make(step: int) -> list[Batch]:
        rng = np.random.default_rng(_seed(config.seed, step, process, 0))
        job.seek(step)
        return [job.batch(rng, config.batch_size) for _ in range(config.accumulate)]

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, start)
        for step in range(start, config.steps + 1):
            batches, ahead = ahead.result(), pool.submit(make, step + 1)
            yield step, batches
