"""codi-export profile"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from codi_export import bundle as bundles
from codi_export.cli import terminal
from codi_export.errors import CodiError, ErrorCode
from codi_export.latency import Latency
from codi_export.profile import compare as comparing
from codi_export.profile import result_file
from codi_export.profile.bundle import profile_bundle
from codi_export.profile.provenance import Choice
from codi_export.profile.result import Result, Scenario, Settings
from codi_export.runtime.opening import select
from codi_export.spec import Graph

NODES = 10  # in the text; the files have all
NOT_REPORTED = "not reported"


def _share(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)%", value)
    if not found:
        raise click.BadParameter(f"{value!r}: expected a percentage, such as 5%")
    return float(found[1]) / 100


@click.command(epilog="Example: codi-export profile sr-2step --html sr.html --json > sr.json")
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, metavar="BUNDLE | RESULT.json...")
@click.option("--iterations", metavar="N", type=click.IntRange(min=0), default=100, show_default=True, help="At most.")
@click.option("--duration", metavar="S", type=click.FloatRange(min=0, min_open=True), help="Seconds, at most.")
@click.option(
    "--runs", metavar="N", type=click.IntRange(min=1), default=5, show_default=True, help="How often it is opened anew."
)
@terminal.task_option
@terminal.steps_option
@terminal.provider_option
@terminal.backend_option
@click.option("--threads", metavar="N", type=click.IntRange(min=1), help="Left to the runtime if left out.")
@click.option(
    "--shapes", metavar="NAME:1x64x64x3,...", help="Which sizes of the inputs; refused if the graph has others."
)
@click.option(
    "--scenario", type=click.Choice(["single", "batch", "stream"]), default="single", show_default=True,
    help="One picture at a time, full batches, or frames at --fps.",
)  # fmt: skip
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), help="Frames a second of a stream; 30.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the first iteration's noise.")
@click.option(
    "--target", metavar="NAME", help="Whose roofline: codi-export list targets. Found or measured if left out."
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write one page that needs nothing else.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Write PNGs there.")
@click.option(
    "--compare", type=click.Path(path_type=Path), nargs=2, metavar="A.json B.json", help="How much slower is B?"
)
@click.option(
    "--fail-if-slower", metavar="5%", callback=_share, help="With --compare: exit 1 if B certainly is, by more."
)
@click.option("--any-bundle", is_flag=True, help="Compare results of different bundles.")
@terminal.json_option
@click.pass_context
def profile(
    context: click.Context,
    paths: tuple[Path, ...],
    iterations: int,
    duration: float | None,
    runs: int,
    task: str | None,
    steps: int | None,
    provider: str,
    backend: str,
    threads: int | None,
    shapes: str | None,
    scenario: Scenario,
    fps: float | None,
    seed: int,
    target: str | None,
    html: Path | None,
    plots: Path | None,
    compare: tuple[Path, Path] | None,
    fail_if_slower: float | None,
    any_bundle: bool,
    as_json: bool,
) -> None:
    """How long BUNDLE takes on this device, where the time goes, and what it costs in memory and energy.

    Ctrl-C keeps what was measured by then. RESULT.json files are shown again, on one page with --html. Exit status 1 if
    the bundle fails parity here, or by --fail-if-slower.
    """
    if compare:
        shown = [result_file.read(path) for path in compare]
        failed = _compare(shown, any_bundle, fail_if_slower, as_json)
    elif fail_if_slower is not None or any_bundle:
        raise click.UsageError("--fail-if-slower and --any-bundle go with --compare A.json B.json")
    elif paths and all(path.suffix == ".json" for path in paths):
        shown, failed = [result_file.read(path) for path in paths], False
        _show(shown, as_json)
    elif len(paths) == 1:
        choice = Choice(task, steps, provider, backend, threads, target)
        settings = _settings(paths[0], choice, shapes, scenario, iterations, duration, runs, seed, fps)
        with terminal.progress(f"profile {paths[0].name}") as draw:
            shown = [profile_bundle(paths[0], choice, settings, progress=draw)]
        _show(shown, as_json)
        failed = shown[0].quality.here is False
    else:
        raise click.UsageError("expected one bundle, result files, or --compare A.json B.json")
    _write(shown, html, plots)
    context.exit(1 if failed else 0)


def _settings(
    path: Path,
    choice: Choice,
    shapes: str | None,
    scenario: Scenario,
    iterations: int,
    duration: float | None,
    runs: int,
    seed: int,
    fps: float | None,
) -> Settings:
    graph = select(bundles.read_manifest(path), choice.task, choice.steps)
    if shapes:
        _require_shapes(graph, shapes)
    if fps and scenario != "stream":
        raise click.UsageError("--fps goes with --scenario stream")
    fps = (fps or 30.0) if scenario == "stream" else None
    batch = graph.inputs[0].shape[0] if scenario == "batch" else 1
    return Settings(scenario, iterations, duration, min(runs, max(1, iterations)), seed, fps, int(batch))


def _require_shapes(graph: Graph, shapes: str) -> None:
    has = {spec.name: "x".join(map(str, spec.shape)) for spec in graph.inputs}
    for one in shapes.split(","):
        name, _, sizes = one.partition(":")
        if has.get(name) != sizes:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"--shapes {one}: {graph.name} takes {','.join(f'{k}:{v}' for k, v in has.items())}",
                "codi-export build --height --width --batch-size makes a graph of other sizes",
            )


def _write(shown: Sequence[Result], html: Path | None, plots: Path | None) -> None:
    if html:
        from codi_export.profile import page

        page.write(shown, html)
        terminal.say(f"{html}")
    if plots:
        from codi_export.profile.plots import draw

        for file in draw(shown, plots):
            terminal.say(f"{file}")


def _compare(shown: Sequence[Result], any_bundle: bool, limit: float | None, as_json: bool) -> bool:
    a, b = shown
    verdict = comparing.compare(a, b, any_bundle)
    failed = limit is not None and verdict.slower_than(limit)
    if as_json:
        terminal.print_json({**comparing.to_dict(verdict), "failed": failed})
    else:
        click.echo(comparing.sentence("end to end", verdict.end_to_end))
        click.echo(comparing.sentence("engine    ", verdict.engine))
        for line in verdict.differences:
            click.echo(f"differs     {line}")
    if failed:
        terminal.say(f"error: the second takes more than {limit:.1%} longer")
    return failed


def _show(shown: Sequence[Result], as_json: bool) -> None:
    if as_json:
        values = [result_file.to_dict(one) for one in shown]
        terminal.print_json(values[0] if len(values) == 1 else {"results": values})
        return
    for one in shown:
        click.echo("\n".join(_lines(one)))


def _lines(result: Result) -> list[str]:
    subject, runtime, device = result.subject, result.runtime, result.device
    threads = f"{runtime.threads} thread{'s'[: runtime.threads > 1]}" if runtime.threads else "threads by default"
    lines = [
        f"{subject.name}  {subject.graph}, {subject.precision}",
        f"{device.name}  {runtime.backend} {runtime.provider}, {threads}",
        "",
        f"{'ms':<12}" + "".join(f"{name:>9}" for name in ("p50", "p90", "p95", "p99", "min", "max", "mean", "n")),
        _row("end to end", result.end_to_end_ms),
        _row("engine", result.engine_ms),
        "",
        f"cold load    {_number(result.cold_load_ms, ' ms')}, first call {_number(result.first_ms, ' ms')}",
        f"throughput   {_number(result.images_per_s, ' images/s')}",
        f"memory       {_size(result.peak_rss_bytes)} at most, on the device {_size(result.peak_device_bytes)};"
        f" model {terminal.size(subject.model_bytes)}",
        f"energy       {_energy(result)}",
        f"parity       {result.quality.detail}",
    ]
    return [*lines, *_stream(result), *_inside(result), *(f"note         {mark}" for mark in result.marks)]


def _row(name: str, times: Latency | None) -> str:
    if times is None:
        return f"{name:<12}{NOT_REPORTED:>9}"
    values = (times.p50, times.p90, times.p95, times.p99, times.min, times.max, times.mean)
    return f"{name:<12}" + "".join(f"{value:9.4g}" for value in values) + f"{times.n:9}"


def _stream(result: Result) -> list[str]:
    if not (stream := result.stream):
        return []
    late = f", p99 {stream.latency_ms.p99:.4g} ms after arrival" if stream.latency_ms else ""
    return [f"stream       {stream.fps:g} frames/s: {stream.missed} of {stream.arrived} missed{late}"]


def _inside(result: Result) -> list[str]:
    if not (found := result.breakdown):
        why = "not looked into" if result.partial else f"{NOT_REPORTED} by {result.runtime.backend}"
        return [f"stages       {why}"]
    lines = ["", f"stages       of a call of {found.engine_ms:.4g} ms by the {found.method}"]
    rows = [(stage.name, stage.ms, stage.share) for stage in found.stages]
    rows.append(("unattributed", found.unattributed_ms, found.unattributed_ms / found.engine_ms))
    lines += [f"  {name:<24}{ms:9.4g} ms {share:6.1%}" for name, ms, share in rows]
    lines += ["", f"slowest      roofline {found.roofline or NOT_REPORTED}"]
    for node in found.nodes[:NODES]:
        share = NOT_REPORTED if node.roofline_share is None else f"{node.roofline_share:.0%} of roofline"
        shape = "x".join(map(str, node.shape))
        lines.append(f"  {node.ms:7.4g} ms  {node.op:<10} {shape:<16} {share:<20} {node.name}")
    return lines


def _energy(result: Result) -> str:
    found = result.energy
    if found is None:
        return NOT_REPORTED
    return f"{found.joules_per_image:.3g} J an image, {found.mean_mw / 1000:.3g} W by {found.source}"


def _number(value: float | None, unit: str) -> str:
    return NOT_REPORTED if value is None else f"{value:.4g}{unit}"


def _size(value: int | None) -> Any:
    return NOT_REPORTED if value is None else terminal.size(value)
