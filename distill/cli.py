"""The training commands: `codi-export distill` and `evaluate` resolve here, `python -m distill` has the others."""

import dataclasses
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click
import torch

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS
from codi_export.files import write
from codi_export.model import adapter
from codi_export.records import to_json

from . import candidates, config, experiments, flags, pretrain, run, table, together, trials
from . import choose as choices
from . import dry_run as dry
from . import evaluate as evaluation
from . import experiment as experiment_runs
from . import page as pages
from .adapted import Adapted
from .autoencoder import AutoencoderConfig, AutoencoderJob
from .config import DataConfig, TrainConfig
from .data import pictures
from .data.conditions import makers
from .rivals.published import RIVALS
from .rivals.published import load as load_rival
from .text import TextConfig, add_words
from .trainer import train

FOLDER = click.Path(path_type=Path, file_okay=False)
DATA = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


class Distill(flags.Command):
    """Its flags are the config's."""

    tables = run.TABLES


def train_config(tables: dict[str, Any], seconds: float | None) -> TrainConfig:
    """The [train] table, with the command line's time budget."""
    chosen = config.record(TrainConfig, tables.get("train", {}))
    return chosen if seconds is None else dataclasses.replace(chosen, seconds=seconds)


@click.command(cls=Distill)
@click.option("--task", required=True, metavar="NAME", help="What to train for; see `codi-export list tasks`.")
@click.option(
    "--model", default="mini", show_default=True, metavar="DIR|NAME", help="The frozen backbone, a diffusers folder."
)
@click.option("--data", required=True, type=DATA, help="Where the config's patterns start from.")
@click.option("--config", "file", type=FILE, help="TOML or YAML  [default: what made mini's adapter]")
@click.option("--dry-run", is_flag=True, help="Take a few steps, say what a run would cost; save nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print its result as JSON on stdout.")
@click.option("-o", "--output", type=FOLDER, help="The adapter's folder; a run folder is kept beside it.")
def distill(
    task: str, model: str, data: Path, file: Path | None, dry_run: bool, as_json: bool, output: Path | None
) -> None:
    """Train a CoDi adapter; run again to resume.

    A flag under [table] beats that table of the config; in brackets stands what holds if neither says.

    \b
    Example:
      codi-export distill --task sr --data photos -o adapters/sr --batch-size 4
    """
    tables = config.merged(
        config.read(file) if file else run.default_tables(task), flags.given(click.get_current_context())
    )
    if dry_run:
        _dry_run(task, model, data, tables, as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--output'; only --dry-run does without.")
    click.echo(f"adapter: {run.train_adapter(task, data, output, model, tables)}")


def _dry_run(task: str, model: str, data: Path, tables: config.Tables, as_json: bool) -> None:
    settings = config.record(TrainConfig, tables.get("train", {}))
    with redirect_stdout(sys.stderr):  # what is read and skipped is no result
        found = dry.dry_run(run.codi_job(task, model, data, tables), settings)
    click.echo(json.dumps(dataclasses.asdict(found), indent=2) if as_json else "\n".join(dry.lines(found)))


@click.group()
def main() -> None:
    """Train the parts of a backbone from nothing."""


@main.command()
@click.option("--config", "config_file", type=FILE, default=run.CONFIGS / "mini-autoencoder.toml", show_default=False)
@click.option("--data", required=True, type=DATA)
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
    job.save(train(job, train_config(tables, seconds), run.run_folder(output)), output)


@main.command()
@click.option("--config", "config_file", type=FILE, default=run.CONFIGS / "mini-backbone.toml", show_default=False)
@click.option("--data", required=True, type=DATA)
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
    job.save(train(job, train_config(tables, seconds), run.run_folder(output)), output)


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
@click.option("--data", required=True, type=DATA)
@click.option("--config", "config_file", type=FILE, help="The TOML file that the adapter was trained with.")
@click.argument("folder", metavar="ADAPTER", type=FOLDER)
def choose(task: str, model: str, data: Path, config_file: Path | None, folder: Path) -> None:
    """Choose ADAPTER's timesteps and back-projection weight on the validation slice, and write them into it."""
    job = run.codi_job(task, model, data, config.read(config_file or run.CONFIGS / f"mini-{task}.toml"))
    trained = adapter.load(folder)
    facts, rows = choices.choose(job, Adapted(trained.net, trained.unet(job.backbone)))
    for row in rows:
        click.echo(json.dumps(row))
    (folder / FACTS).write_text(json.dumps(to_json(facts), indent=2) + "\n")


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


@main.command("together")
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="A shard of scenes.")
@click.option("-o", "--output", required=True, type=FOLDER)
@click.option("--seeds", default="0,1,2", show_default=True, help="A draw of the noise for each.")
@click.option("--pictures", type=click.IntRange(min=1), default=80, show_default=True, help="Judged at most.")
def both(data: Path, output: Path, seeds: str, pictures: int) -> None:
    """Two adapters summed, each with its own condition: write together.json, together.md and together.png."""
    click.echo(f"report: {together.run(data, output, pictures, _numbers(seeds))}")


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
@click.option(
    "--rival",
    "rivals",
    multiple=True,
    type=click.Choice([*RIVALS, "all"]),
    help="Also judge this published network, from `make rivals`; may be repeated.",
)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="The same for everything.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the JSON to this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def evaluate(
    bundles: tuple[Path, ...],
    data: Path,
    vae: Path | None,
    rivals: tuple[str, ...],
    threads: int,
    seed: int,
    output: Path | None,
    as_json: bool,
) -> None:
    """Quality of every graph in BUNDLEs beside a baseline (`sr`: bicubic): PSNR, SSIM, perceptual distance, KID.

    \b
    Example:
      codi-export evaluate sr-2step sr-4step --data photos
      codi-export evaluate sr-2step --data photos --rival all
    """
    torch.set_num_threads(threads)
    chosen = list(RIVALS) if "all" in rivals else list(dict.fromkeys(rivals))
    task, size, made = candidates.of_bundles(bundles, seed, threads)
    if chosen and task != "sr":
        raise CodiError(ErrorCode.BAD_OPTION, f"--rival {chosen[0]}: rivals enlarge photos, these bundles do '{task}'")
    tiles = evaluation.cut_folder(data, size, candidates.reading(task))
    baseline = evaluation.BASELINES.get(task, evaluation.UNTOUCHED)
    published = [evaluation.Candidate(name, None, load_rival(name)) for name in chosen]
    judged = [baseline, *([candidates.round_trip(vae)] if vae else []), *made, *published]
    first, *others = makers(task).items()
    tables = {first[0]: evaluation.evaluate(judged, tiles, first[1], seed)}
    for name, make in others:  # the round trip sees no condition: once is enough
        tables[name] = evaluation.evaluate([c for c in judged if c.reads != "original"], tiles, make, seed)
    result = json.dumps(table.as_json(tables, seed, threads, chosen), indent=2)
    if output:
        write(output, result.encode() + b"\n")
    if as_json:
        click.echo(result)
        return
    for name, rows in tables.items():
        click.echo(f"{name} inputs\n\n{table.table(rows)}\n")
    click.echo(table.caption(tiles, threads, chosen))
