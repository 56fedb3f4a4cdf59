"""Where the engine's time goes: nodes to the stages that their names tell, with their costs and rooflines."""

import math
import re
from collections.abc import Mapping, Sequence
from statistics import median

from codi_export.backends import NodeTime, TracedCall
from codi_export.costs import NodeCost
from codi_export.profile.result import Breakdown, Node, Span, Stage
from codi_export.profile.roofline import Roof

UNATTRIBUTED = "unattributed"
OWN = {"condition": "preprocess", "decode": "postprocess"}  # what lies in no module; of a step it is the sampler
PARTS = {"unet": "U-Net", "others": "adapter"}

_STAGE = re.compile(r"(condition|step\d+|decode)/")
_FUSED = re.compile(r"(/\w*Fusion\w*/?|_nchwc|_nhwc|_new_reshape|_token_\d+)+$")  # what onnxruntime adds to a name
_UNCOUNTED = re.compile("Attention|Conv|Gemm|MatMul|LSTM|GRU")  # products of a kind that is not counted here
_PRODUCTS = {"Conv", "FusedConv", "NhwcFusedConv", "MatMul", "FusedMatMul", "Gemm", "FusedGemm"}


def breakdown(
    method: str, calls: Sequence[TracedCall], costs: Mapping[str, NodeCost], roof: Roof | None
) -> Breakdown | None:
    """Of one or more traced calls. Stages and timeline are those of the call of median length, so they add up; a node's
    time is its median over the calls. `costs` by node name."""
    if not calls:
        return None
    typical = sorted(calls, key=lambda call: call.ms)[(len(calls) - 1) // 2]
    stages = stages_of([node.name for node in typical.nodes])
    spans = [Span(plain(n.name), s, n.start_ms, n.ms) for n, s in zip(typical.nodes, stages, strict=True)]
    sums: dict[str, float] = {}
    for span in spans:
        sums[span.stage] = sums.get(span.stage, 0.0) + span.ms
    sums.pop(UNATTRIBUTED, None)
    roof = roof and _raised(roof, calls, costs)
    nodes = [
        _node(node, stage, _median_ms(calls, index), costs, roof)
        for index, (node, stage) in enumerate(zip(typical.nodes, stages, strict=True))
    ]
    return Breakdown(
        method=method,
        calls=len(calls),
        engine_ms=typical.ms,
        unattributed_ms=typical.ms - sum(sums.values()),
        stages=tuple(Stage(name, sums[name], sums[name] / typical.ms) for name in sorted(sums, key=_order)),
        nodes=tuple(sorted(nodes, key=lambda node: -node.ms)),
        timeline=tuple(spans),
        roofline=roof.source if roof else None,
        peak_flops_per_s=roof.flops_per_s if roof else None,
        peak_bytes_per_s=roof.bytes_per_s if roof else None,
    )


def stages_of(names: Sequence[str]) -> list[str]:
    """The stage of each node, in the order that they ran in.

    A name tells its stage: `step1/unet.conv_in/conv2d` is in `step1/U-Net`. A runtime's own nodes (changes of layout)
    have none; one that lies between two nodes of one stage is of that stage, any other is unattributed.
    """
    known = [stage_of(name) for name in names]
    before, after = _filled(known), _filled(known[::-1])[::-1]
    return [
        own or (left if left and left == right else UNATTRIBUTED)
        for own, left, right in zip(known, before, after, strict=True)
    ]


def stage_of(name: str) -> str:
    """`stage/part`; empty if the name does not say."""
    name = plain(name)
    if not (found := _STAGE.match(name)):
        return ""
    stage, module = found[1], name[found.end() :].rpartition("/")[0]
    part = module.partition(".")[0]
    if not part or part == "enlarge":
        return f"{stage}/{OWN.get(stage, 'sampler')}"
    return f"{stage}/{PARTS.get(part, part)}"


def _order(stage: str) -> float:
    """The order of the work; parts of one stage stay as they ran."""
    word = stage.partition("/")[0]
    return {"condition": 0.0, "decode": math.inf}[word] if word in ("condition", "decode") else float(word[4:])


def plain(name: str) -> str:
    """The graph's own name of a node that the runtime has renamed."""
    return _FUSED.sub("", name)


def _filled(stages: Sequence[str]) -> list[str]:
    """Each empty one becomes the last before it that is not."""
    last, filled = "", []
    for stage in stages:
        last = stage or last
        filled.append(last)
    return filled


def _raised(roof: Roof, calls: Sequence[TracedCall], costs: Mapping[str, NodeCost]) -> Roof:
    """No roof is below what a node reaches."""
    if not roof.measured:
        return roof
    first = calls[0].nodes
    rates = [(_flops(node, costs.get(plain(node.name))) or 0, _median_ms(calls, k)) for k, node in enumerate(first)]
    return roof.at_least(max((1000 * flops / ms for flops, ms in rates if ms > 0), default=0.0))


def _median_ms(calls: Sequence[TracedCall], index: int) -> float:
    """Calls of one session run the same nodes in the same order."""
    return median(call.nodes[index].ms for call in calls if index < len(call.nodes))


def _node(node: NodeTime, stage: str, ms: float, costs: Mapping[str, NodeCost], roof: Roof | None) -> Node:
    cost = costs.get(plain(node.name))
    flops, moved = _flops(node, cost), _bytes(node, cost)
    bound = roof.ms(flops, moved) if roof and flops is not None and moved is not None else None
    share = bound / ms if bound is not None and ms > 0 else None
    return Node(plain(node.name), node.op, stage, node.shape, ms, flops, moved, bound, share)


def _flops(node: NodeTime, cost: NodeCost | None) -> int | None:
    """By the graph's own count; a fused node is called after its last part, so its product is counted from shapes."""
    if node.op in _PRODUCTS and not (cost and cost.flops):
        return _product(node)
    return cost.flops if cost else (None if _UNCOUNTED.search(node.op) else 0)


def _product(node: NodeTime) -> int | None:
    """Twice the multiplications: each output number is a sum over what its two inputs share."""
    if len(node.inputs) < 2 or not node.shape:
        return None
    first, second = node.inputs[:2]
    if node.op.endswith("Conv"):
        shared = math.prod(second[1:])
    elif len(first) and math.prod((*first, *second, *node.shape)):
        # [.., M, K] x [.., K, N] = [.., M, N], transposed or not: sizes alone give K, batch by batch.
        m_n = node.shape[-1] * node.shape[-2] if len(node.shape) > 1 else node.shape[-1]
        rows = first[-1] * (first[-2] if len(first) > 1 else 1)
        columns = second[-1] * (second[-2] if len(second) > 1 else 1)
        shared = round((rows * columns / m_n) ** 0.5)
    else:
        return None
    return 2 * math.prod(node.shape) * shared


def _bytes(node: NodeTime, cost: NodeCost | None) -> int | None:
    """What the node as it ran moves; if the runtime does not say, what the graph's own would."""
    if node.bytes is not None:
        return node.bytes
    return cost.bytes_read + cost.bytes_written if cost else None
