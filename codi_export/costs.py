"""What each node of a built graph costs, as the build counted it. Standard library only."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json
from codi_export.spec import Graph


@dataclass(frozen=True, slots=True)
class NodeCost:
    """One node of a graph: `name` as it is there, `stage/...`.

    `flops` are those of its products (a multiplication and an addition are two); `bytes_read` includes `weight_bytes`,
    what is read of constants; `live_bytes` are the activations that exist while it runs. `module`: whose weights it
    reads, `unet.mid_block.resnets.0.conv1`; where it reads none, the last module before it that did.
    """

    name: str
    op: str
    flops: int
    bytes_read: int
    bytes_written: int
    weight_bytes: int
    live_bytes: int
    module: str = ""

    @property
    def stage(self) -> str:
        """`condition`, `step1`, ..., `decode`."""
        return self.name.partition("/")[0]


FIELDS = tuple(field.name for field in fields(NodeCost))


def write(path: Path, costs: Iterable[NodeCost]) -> None:
    """One row a node: a graph has thousands, and field names would be most of the file."""
    rows = [[getattr(cost, name) for name in FIELDS] for cost in costs]
    document = {"fields": FIELDS, "rows": rows}
    files.write(path, json.dumps(document, separators=(",", ":")).encode() + b"\n")


def read(folder: Path, graph: Graph) -> tuple[NodeCost, ...]:
    """The nodes of a graph of the bundle `folder`, in order. Raises CodiError (bad-bundle)."""
    if not graph.cost:
        raise CodiError(
            ErrorCode.BAD_BUNDLE,
            f"{folder} does not say what {graph.name} costs",
            "build it again: older builds did not",
        )
    path = folder / graph.cost
    try:
        document = json.loads(path.read_bytes())
        rows = [dict(zip(document["fields"], row, strict=True)) for row in document["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{path} is not a table of costs: {error!r}", "build it again") from error
    return tuple(from_json(NodeCost, row) for row in rows)


def by_stage(costs: Sequence[NodeCost]) -> dict[str, tuple[NodeCost, ...]]:
    """`condition`, `step1`, ..., `decode` -> their nodes, in the order of the work."""
    stages: dict[str, list[NodeCost]] = {}
    for cost in costs:
        stages.setdefault(cost.stage, []).append(cost)
    return {stage: tuple(nodes) for stage, nodes in stages.items()}
