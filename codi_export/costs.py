"""What each node of a built graph costs, as the build counted it. Standard library only."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json
from codi_export.spec import Graph, NodeCost

FIELDS = tuple(field.name for field in dataclasses.fields(NodeCost))


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
