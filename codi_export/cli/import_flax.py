"""codi-export import-flax"""

from pathlib import Path

import click

from codi_export import files, registry, zoo
from codi_export.cli import terminal
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import to_json


@click.command(
    name="import-flax", epilog="Example: codi-export import-flax canny_99000 -o adapters/canny --model my-sd21"
)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), required=True, help="The adapter.")
@click.option("--task", metavar="NAME", default="canny", show_default=True, help="What it was trained for.")
@click.option("--model", metavar="DIR|NAME", help="The backbone: checks the fit, and stands in for a config.json.")
@click.option(
    "--points",
    metavar="L",
    type=click.IntRange(20, 1000),
    default=50,
    show_default=True,
    help="Timesteps it was trained on, `distill_learning_steps`; they lie 1000 // L apart.",
)
@terminal.json_option
def import_flax(checkpoint: Path, output: Path, task: str, model: str | None, points: int, as_json: bool) -> None:
    """A ControlNet that fast-codi/CoDi trained, a Flax msgpack file or orbax folder, as an adapter."""
    registry.get("tasks", task)
    if not files.is_free(output):
        raise CodiError(ErrorCode.OUTPUT_EXISTS, f"{output} exists", "choose another -o, or move it away")
    from codi_export.model import adapter, backbone, from_flax

    base = backbone.load(zoo.folder(model)) if model else None
    facts = from_flax.facts(task, points)
    net = from_flax.load(checkpoint, base)
    if base:
        adapter.require_fit(adapter.Adapter(checkpoint, net, facts), base, facts)
    with files.writing(output):
        adapter.save(net, facts, output)
    count = sum(tensor.numel() for tensor in net.parameters())
    if as_json:
        terminal.print_json({"adapter": str(output), "parameters": count, "facts": to_json(facts)})
    else:
        click.echo(f"{output}  {count / 1e6:.1f} M parameters, for task {task} and --sampler {facts.predictor}")
