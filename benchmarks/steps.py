"""What a step costs: 1 to 4 of them in one graph, beside the same in torch and in separate sessions.

    python -m benchmarks.steps --against torch,components

The `sr` bundle of the embedded model, fp32, on the CPU. The graphs of all numbers of steps are timed in turns too, so
that their differences are differences of the graphs.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import arms, compare
from benchmarks.compare import Arm
from codi_export import bundle as bundles
from codi_export import registry
from codi_export.profile import provenance
from codi_export.runtime.opening import select

STEPS = (1, 2, 3, 4)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is not there, time, print, save."""
    options, kept = arms.options(__doc__, arguments)
    folder = arms.bundle(kept, STEPS)
    with ExitStack() as stack:
        opened = {n: stack.enter_context(arms.opened(folder, n, options.threads, options.against)) for n in STEPS}
        groups = {plural(n): made for n, (made, _) in opened.items() if len(made) > 1}
        groups = {"ours": [Arm(plural(n), made[0].call) for n, (made, _) in opened.items()], **groups}
        missing = {name: reason for _, absent in opened.values() for name, reason in absent.items()}
        settings = {"model": "mini", "graph_bytes": {plural(n): graph_bytes(folder, n) for n in STEPS}}
        compare.finish(compare.run("steps", groups, options, settings, missing), options)


def graph_bytes(folder: Path, steps: int) -> int:
    """Of all files that the graph reads: what a bundle of this number of steps alone would hold."""
    manifest = bundles.read_manifest(folder)
    graph = select(manifest, "sr", steps)
    return provenance.subject(folder, manifest, graph, registry.get("backends", "onnxruntime")).model_bytes


def plural(n: int) -> str:
    return f"{n} step{'s'[: n > 1]}"


if __name__ == "__main__":
    main()
