"""The training commands: `codi-export distill` and `evaluate` resolve here, `python -m distill` has the others."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import codi_export
from codi_export import registry, zoo
from codi_export.bundle import read_manifest
from codi_export.errors import CodiError, ErrorCode
from codi_export.files import write
from codi_export.model import adapter
from codi_export.model import backbone as bb
from codi_export.spec import to_json

from . import choose as choices
from . import codi, config, experiments, pretrain, table, trials
from . import evaluate as evaluation
from . import experiment as experiment_runs
from . import page as pages
from .autoencoder import AutoencoderConfig, AutoencoderJob
from .config import DataConfig, TrainConfig
from .data import pictures
from .data.conditions import makers
from .data.pictures import Reading
from .data.tensors import to_pixels, to_signed
from .step import CodiConfig, advice
from .text import TextConfig, add_words
from .trainer import train

CONFIGS = Path(__file__).parent / "configs"
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def run_folder(output: Path) -> Path:
    """Where a run keeps its state, log and grids: beside what it makes."""
    return output.with_name(output.name + "-run")


def train_config(tables: dict[str, Any], seconds: float | None) -> TrainConfig:
    """The [train] table, with the command line's time budget."""
    chosen = config.record(TrainConfig, tables.get("train", {}))
    return chosen if seconds is None else dataclasses.replace(chosen, seconds=seconds)


@click.command()
@click.option("--task", required=True, metavar="NAME", help="What to train for; see `codi-export list tasks`.")
@click.option(
    "--model", default="mini", show_default=True, metavar="DIR|NAME", help="The frozen backbone, a diffusers folder."
)
@click.option("--data", required=True, type=FOLDER, help="Where the config's patterns start from.")
@click.option("--config", "config_file", type=FILE, help="A TOML file  [default: the one that made mini's adapter]")
@click.option("--seconds", type=click.FloatRange(min=1), help="Time budget, in place of the config's.")
@click.option(
    "-o", "--output", required=True, type=FOLDER, help="The adapter's folder; a run folder is kept beside it."
)
def distill(task: str, model: str, data: Path, config_file: Path | None, seconds: float | None, output: Path) -> None:
    """Train a CoDi adapter; run again to resume.

    \b
    Example:
      codi-export distill --task sr --data photos -o adapters/sr
    """
    registry.get("tasks", task)
    tables = config.read(config_file or CONFIGS / f"mini-{task}.toml")
    job = _codi_job(task, model, data, tables)
    if warning := advice(job.method):
        click.echo(f"warning: {warning}", err=True)
    average = train(job, train_config(tables, seconds), run_folder(output))
    job.save(average, output)
    click.echo(f"adapter: {output}")


@click.group()
def main() -> None:
    """Train the parts of a backbone from nothing."""


@main.command()
@click.option("--config", "config_file", type=FILE, default=CONFIGS / "mini-autoencoder.toml", show_default=False)
@click.option("--data", required=True, type=FOLDER)
@click.option("--seconds", type=click.FloatRange(min=1))
@click.option("-o", "--output", required=True, type=FOLDER, help="The VAE's folder.")
def autoencoder(config_file: Path, data: Path, seconds: float | None, output: Path) -> None:
    """Train the VAE."""
    tables = config.read(config_file)
    job = AutoencoderJob(
        config.record(AutoencoderConfig, tables.get("autoencoder", {})),
        config.record(DataConfig, tables.get("data", {})),
        data,
    )
    job.save(train(job, train_config(tables, seconds), run_folder(output)), output)


@main.command()
@click.option("--config", "config_file", type=FILE, default=CONFIGS / "mini-backbone.toml", show_default=False)
@click.option("--data", required=True, type=FOLDER)
@click.option("--vae", required=True, type=FOLDER, help="The folder that `autoencoder` made.")
@click.option("--seconds", type=click.FloatRange(min=1))
@click.option("-o", "--output", required=True, type=FOLDER, help="The backbone's folder, in diffusers layout.")
def backbone(config_file: Path, data: Path, vae: Path, seconds: float | None, output: Path) -> None:
    """Train the U-Net and the text encoder over a trained VAE."""
    tables = config.read(config_file)
    job = pretrain.BackboneJob(
        config.record(pretrain.BackboneConfig, tables.get("backbone", {})),
        config.record(TextConfig, tables.get("text", {})),
        config.record(DataConfig, tables.get("data", {})),
        data,
        vae,
    )
    job.save(train(job, train_config(tables, seconds), run_folder(output)), output)


@main.command()
@click.option("--data", required=True, type=FOLDER)
@click.option("--scenes", default=DataConfig().scenes, show_default=True, metavar="GLOB", help="Shards, under --data.")
@click.option("--member", default="instruction", show_default=True, help="The text of a sample to take words from.")
@click.argument("folder", metavar="MODEL", type=FOLDER)
def words(data: Path, scenes: str, member: str, folder: Path) -> None:
    """Teach MODEL's tokenizer the words of other texts than captions, such as instructions."""
    samples = pictures.load(data, scenes, pictures.Reading(caption=member))
    new = add_words(folder, {sample.caption for sample in samples})
    click.echo(f"{len(new)} new words: {' '.join(new)}")


@main.command()
@click.option("--task", required=True, metavar="NAME")
@click.option("--model", default="mini", show_default=True, metavar="DIR|NAME")
@click.option("--data", required=True, type=FOLDER)
@click.option("--config", "config_file", type=FILE, help="The TOML file that the adapter was trained with.")
@click.argument("folder", metavar="ADAPTER", type=FOLDER)
def choose(task: str, model: str, data: Path, config_file: Path | None, folder: Path) -> None:
    """Choose ADAPTER's timesteps and back-projection weight on the validation slice, and write them into it."""
    job = _codi_job(task, model, data, config.read(config_file or CONFIGS / f"mini-{task}.toml"))
    trained = adapter.load(folder)
    facts, rows = choices.choose(job, codi.Adapted(trained.net, trained.unet(job.backbone)))
    for row in rows:
        click.echo(json.dumps(row))
    (folder / adapter.FACTS).write_text(json.dumps(to_json(facts), indent=2) + "\n")


@main.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page  [default: training.html in the run folder]",
)
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path, file_okay=False, exists=True))
def page(folder: Path, output: Path | None) -> None:
    """Draw a run folder's curves, warnings and grids as one HTML page; works while the run goes on."""
    click.echo(f"page: {pages.make(folder, output)}")


@main.command()
@click.option("--data", required=True, type=FOLDER)
@click.option("--model", default="mini", show_default=True, metavar="DIR|NAME")
@click.option("-o", "--output", required=True, type=FOLDER, help="Trials are kept here too; run again to go on.")
@click.option("--seeds", default="0,1,2", show_default=True, help="One training of every arm for each.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes, a thread each.")
@click.option("--steps-budget", type=click.IntRange(min=2), default=500, show_default=True, help="Of every arm.")
@click.option("--pictures", type=click.IntRange(min=1), default=200, show_default=True, help="Judged at most.")
@click.option("--report", is_flag=True, help="Train nothing: report what is finished.")
@click.argument("name", metavar="NAME|all")
def experiment(
    data: Path,
    model: str,
    output: Path,
    seeds: str,
    jobs: int,
    steps_budget: int,
    pictures: int,
    report: bool,
    name: str,
) -> None:
    """Train the arms of an experiment and write NAME.json, NAME.md and NAME.png: `distill/experiments`."""
    chosen = experiments.names() if name == "all" else [name]
    plan = trials.Plan(data, model, output.resolve(), steps_budget, pictures=pictures)
    numbers = _numbers(seeds)
    if not report:
        experiment_runs.run(chosen, plan, numbers, jobs)
    for page in experiment_runs.report(chosen, plan, numbers):
        click.echo(f"report: {page}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise CodiError(ErrorCode.BAD_OPTION, f"--seeds '{text}': expected numbers, such as 0,1,2") from None


@click.command()
@click.argument("bundles", metavar="BUNDLE...", type=FOLDER, nargs=-1)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="A folder of photos, or a shard; each is compared with what comes of its own condition.",
)
@click.option(
    "--vae", type=FOLDER, help="Also judge the round trip through this VAE, the ceiling of every bundle on it."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the JSON to this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def evaluate(
    bundles: tuple[Path, ...], data: Path, vae: Path | None, seed: int, output: Path | None, as_json: bool
) -> None:
    """Quality of every graph in BUNDLEs beside a baseline (`sr`: bicubic): PSNR, SSIM, perceptual distance, KID.

    \b
    Example:
      codi-export evaluate sr-2step sr-4step --data photos
    """
    sessions = [
        (bundle, codi_export.load(bundle, graph.task, graph.steps))
        for bundle in bundles
        for graph in read_manifest(bundle).graphs
    ]
    task, size = _one_task([session for _, session in sessions])
    brought = config.record(DataConfig, config.read(CONFIGS / f"mini-{task}.toml").get("data", {}))
    tiles = evaluation.cut_folder(
        data, size, Reading(image=brought.image, condition=brought.condition, caption=brought.caption)
    )
    candidates = [
        evaluation.BASELINES.get(task, evaluation.UNTOUCHED),
        *(_round_trip(vae) if vae else []),
        *(_candidate(bundle, session, seed) for bundle, session in sessions),
    ]
    first, *others = makers(task).items()
    tables = {first[0]: evaluation.evaluate(candidates, tiles, first[1], seed)}
    for name, make in others:  # the round trip sees no condition: once is enough
        tables[name] = evaluation.evaluate([c for c in candidates if c.reads != "original"], tiles, make, seed)
    result = json.dumps(table.as_json(tables, seed), indent=2)
    if output:
        write(output, result.encode() + b"\n")
    if as_json:
        click.echo(result)
        return
    for name, rows in tables.items():
        click.echo(f"{name} inputs\n\n{table.table(rows)}\n")
    click.echo(table.caption(tiles))


def _one_task(sessions: Sequence["codi_export.Session"]) -> tuple[str, int]:
    """The task and the output's side that all sessions share; super-resolution if there are none."""
    found = sorted({(session.graph.task, int(session.graph.outputs[0].shape[1])) for session in sessions})
    if len(found) > 1:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"the bundles do different things: {', '.join(f'{task} at {side} pixels' for task, side in found)}",
            "one table compares one task at one size",
        )
    return found[0] if found else ("sr", evaluation.TILE)


def _candidate(bundle: Path, session: "codi_export.Session", seed: int) -> evaluation.Candidate:
    """A graph as a function from condition, and caption where it reads one, to photo."""
    inputs = {spec.name for spec in session.graph.inputs}

    def run(seen: pictures.Pixels, caption: str | None = None) -> pictures.Pixels:
        mask = seen[..., 3] if "mask" in inputs else None
        return session(np.ascontiguousarray(seen[..., :3]), seed, mask=mask, prompt=caption)

    reads: Any = "input and caption" if "prompt_embeds" in inputs else "input"
    return evaluation.Candidate(f"{bundle.name} {session.graph.sampler}", session.graph.steps, run, reads)


def _round_trip(folder: Path) -> list[evaluation.Candidate]:
    vae = bb.load_part(bb.vae_class(folder), folder)

    @torch.no_grad()
    def run(pixels: pictures.Pixels) -> pictures.Pixels:
        return to_pixels(bb.decode(vae, bb.encode(vae, to_signed(pixels[None])))[0])

    return [evaluation.Candidate("VAE round trip", None, run, "original")]


def _codi_job(task: str, model: str, data: Path, tables: dict[str, Any]) -> codi.CodiJob:
    return codi.CodiJob(
        registry.get("tasks", task),
        config.record(codi.AdapterConfig, tables.get("adapter", {})),
        config.record(CodiConfig, tables.get("method", {})),
        config.record(DataConfig, tables.get("data", {})),
        data,
        zoo.folder(model),
    )
