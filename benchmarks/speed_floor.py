"""How fast our graph must be on a CPU beside other ways to run the same weights: ratios with a limit each.

    python -m benchmarks.speed_floor --shape mini --steps 1 --steps 2 --steps 4
    python -m benchmarks.speed_floor --shape edge --rounds 5 --warmup 1

`mini`: the embedded model's `sr` at 256 x 256. `edge`: a U-Net of BK-SDM-tiny's shape (323 million parameters) with a
ControlNet and a tiny VAE, random weights, at 512 x 512; together its arms take 20 GB of memory. A limit holds if the
upper end of the ratio's interval, paired by round, does not exceed it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import codi_export
from benchmarks import arms, compare, edge_shape
from benchmarks.compare import Options, Samples
from codi_export import bundle as bundles

BEST = "openvino-bf16"
LIMITS = (
    (BEST, "torch", 0.5),
    (BEST, "compile", 0.55),
    (BEST, "components", 0.55),
    (BEST, "openvino-bf16-components", 1.03),
    ("openvino", "openvino-components", 1.03),
    (arms.OURS, "components", 1.03),
    (arms.OURS, "torch", 0.9),
)
AGAINST = ("torch", "components", "openvino", "openvino-components", BEST, "openvino-bf16-components")


@dataclass(frozen=True, slots=True)
class Floor:
    """How long `arm` takes beside `other`: the ratio, its 95 % interval, the limit, and whether it holds."""

    group: str
    arm: str
    other: str
    ratio: float
    low: float
    high: float
    limit: float
    met: bool


def floors(group: str, samples: Samples) -> list[Floor]:
    """One row for each limit between arms that were run."""
    made = []
    for arm, other, limit in LIMITS:
        if arm in samples and other in samples:
            found = compare.paired(samples[other], samples[arm])
            made.append(Floor(group, arm, other, found.ratio, found.low, found.high, limit, found.high <= limit))
    return made


def edge_bundle(kept: Path, steps: Sequence[int]) -> Path:
    """The edge shape's bundle, built where it is not there yet."""
    folder = kept / f"edge-{'-'.join(map(str, steps))}step"
    if not (folder / bundles.MANIFEST).is_file():
        model, adapter = edge_shape.write(kept / "edge-shape")
        codi_export.build("canny", list(steps), folder, model=str(model), adapter=str(adapter))
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is not there, time, print, save."""
    parser = compare.parser(__doc__, AGAINST)
    parser.add_argument("--shape", choices=("mini", "edge"), default="mini")
    parser.add_argument("--steps", type=int, action="append", help="repeat it; 1, 2 and 4 if left out")
    parser.add_argument("--bundles", type=Path, default=Path("demo/benchmarks"), help="where bundles are kept")
    parsed = parser.parse_args(arguments)
    options = compare.options(parsed, arms.KNOWN)
    numbers = parsed.steps or [1, 2, 4]
    folder = arms.bundle(parsed.bundles, numbers) if parsed.shape == "mini" else edge_bundle(parsed.bundles, numbers)
    task = "sr" if parsed.shape == "mini" else "canny"
    done = [_measure(parsed.shape, folder, steps, task, options) for steps in numbers]
    found = [floor for one in done for group, times in one.samples.items() for floor in floors(group, times)]
    whole = replace(
        done[0],
        groups={name: rows for one in done for name, rows in one.groups.items()},
        samples={name: times for one in done for name, times in one.samples.items()},
        not_run={name: why for one in done for name, why in one.not_run.items()},
        marks=tuple(mark for one in done for mark in one.marks),
        settings={**done[0].settings, "floors": [asdict(floor) for floor in found]},
    )
    compare.finish(whole, options)
    for floor in found:
        spread, said = f"[{floor.low:.2f}, {floor.high:.2f}]", "met" if floor.met else "MISSED"
        print(f"{floor.group}: {floor.arm} / {floor.other} = {floor.ratio:.2f} {spread}, limit {floor.limit}: {said}")


def _measure(shape: str, folder: Path, steps: int, task: str, options: Options) -> compare.Outcome:
    with arms.opened(folder, steps, options.threads, options.against, task) as (made, missing):
        group = f"{shape}, {steps} step{'s' * (steps > 1)}"
        return compare.run(f"speed_floor_{shape}", {group: made}, options, {"shape": shape}, missing)


if __name__ == "__main__":
    main()
