"""codi-export inspect"""

from pathlib import Path

import click

from codi_export import bundle as bundles
from codi_export.cli import terminal
from codi_export.records import to_json
from codi_export.spec import Graph, Manifest, TensorSpec


@click.command(name="inspect", epilog="Example: codi-export inspect sr-2step")
@click.argument("bundle", type=click.Path(path_type=Path))
@terminal.json_option
def inspect(bundle: Path, as_json: bool) -> None:
    """Task, steps, schedule, inputs, outputs, weights and provenance of BUNDLE. Reads the manifest only."""
    manifest = bundles.read_manifest(bundle)
    total = sum(entry.bytes for entry in manifest.files)
    if as_json:
        terminal.print_json({**to_json(manifest), "bytes": total})
        return
    click.echo(f"{bundle}: {terminal.size(total)}, model {manifest.builds[-1].model}")
    for graph in manifest.graphs:
        _print_graph(graph, manifest.swapped(graph))
    _print_provenance(manifest)


def _print_graph(graph: Graph, swapped: bool) -> None:
    timesteps = ", ".join(str(step.t) for step in graph.schedule.steps)
    parity = graph.parity
    figures = f"{parity.image_psnr_db:.1f} dB, latents within {parity.latent_rms:.1e}, {parity.max_level} levels"
    rows = {
        "path": graph.path,
        "steps": f"{graph.steps}, at t = {timesteps}",
        "sampler": f"{graph.sampler} on {graph.schedule.prediction_type}",
        "precision": graph.precision,
        "islands": ", ".join(graph.islands) or "none: all of the network computes in it",
        "speed": ", ".join(f"{ratio:.2f} of fp32 on {name}" for name, ratio in graph.speed.items()) or "not measured",
        "inputs": "  ".join(_tensor(spec) for spec in graph.inputs),
        "outputs": "  ".join(_tensor(spec) for spec in graph.outputs),
        "scale": f"{graph.scale} output pixels per input pixel",
        "parity": "not measured with this adapter, which was swapped in" if swapped else figures,
        "lowerings": "  ".join(graph.lowerings.values()) or "none",
        "warnings": "; ".join(graph.warnings) or "none",
    }
    _print_section(f"graph {graph.name}", rows)


def _print_provenance(manifest: Manifest) -> None:
    files = {entry.path: f"{terminal.size(entry.bytes):>9}  sha256 {entry.sha256[:12]}" for entry in manifest.files}
    _print_section("files", files)
    _print_section("licences", manifest.licences)
    _print_section("made with", manifest.tools)


def _print_section(title: str, rows: dict[str, str]) -> None:
    if not rows:
        return
    click.echo(f"\n{title}")
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        click.echo(f"  {name:<{width}}  {value}")


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} [{', '.join(str(size) for size in spec.shape)}]"
