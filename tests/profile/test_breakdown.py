"""Nodes to stages, by names as onnxruntime gives them."""

import pytest

from codi_export.backends import NodeTime, TracedCall
from codi_export.costs import NodeCost
from codi_export.profile.breakdown import UNATTRIBUTED, breakdown, plain, stage_of, stages_of
from codi_export.profile.roofline import Roof


@pytest.mark.parametrize(
    ("name", "graphs_own", "stage"),
    [
        ("condition/_to_copy", "condition/_to_copy", "condition/preprocess"),
        ("condition/enlarge/matmul/MatMulScaleFusion/", "condition/enlarge/matmul", "condition/preprocess"),
        ("condition/vae.encoder.conv_in/conv2d_nchwc", "condition/vae.encoder.conv_in/conv2d", "condition/vae"),
        ("step1/unet.mid_block/silu_9/QuickGeluFusion/", "step1/unet.mid_block/silu_9", "step1/U-Net"),
        ("step12/adapter.conv_in/add_nchwc", "step12/adapter.conv_in/add", "step12/adapter"),
        ("step1/others.0.conv_in/add", "step1/others.0.conv_in/add", "step1/adapter"),
        ("step1/next_x", "step1/next_x", "step1/sampler"),
        ("decode/output", "decode/output", "decode/postprocess"),
        ("ReorderInput_token_560", "ReorderInput", ""),
        ("steps/x", "steps/x", ""),
    ],
)
def test_a_name_tells_its_stage(name: str, graphs_own: str, stage: str) -> None:
    assert (plain(name), stage_of(name)) == (graphs_own, stage)


def test_what_has_no_name_belongs_to_its_neighbours_if_they_agree() -> None:
    names = ["Reorder", "step1/unet.a/x", "Reorder", "Reorder", "step1/unet.b/x", "Reorder", "step1/x", "Reorder"]
    unet, sampler = "step1/U-Net", "step1/sampler"
    assert stages_of(names) == [UNATTRIBUTED, unet, unet, unet, unet, UNATTRIBUTED, sampler, UNATTRIBUTED]


def test_stages_are_listed_in_the_order_of_the_work() -> None:
    names = ("decode/x", "step2/unet.a/x", "condition/vae.a/x", "step1/x", "step1/unet.a/x", "condition/x")
    one = TracedCall(9.0, tuple(NodeTime(name, "Mul", float(k), 1.0) for k, name in enumerate(names)))
    found = breakdown("profiler", [one], {}, None)
    assert found is not None and [stage.name for stage in found.stages] == [
        "condition/vae", "condition/preprocess", "step1/sampler", "step1/U-Net", "step2/U-Net", "decode/postprocess",
    ]  # fmt: skip


def node(name: str, op: str, start: float, ms: float, inputs: tuple[tuple[int, ...], ...] = ()) -> NodeTime:
    return NodeTime(name, op, start, ms, inputs, (1, 8, 4, 4), 1000)


def call(pace: float) -> TracedCall:
    conv = ((1, 3, 4, 4), (8, 3, 3, 3))
    nodes = (
        node("condition/cast", "Cast", 0, pace),
        node("step1/unet.conv/conv2d_nchwc", "Conv", pace, 3 * pace, conv),
        node("Reorder", "ReorderOutput", 4 * pace, pace),
        node("decode/output", "Cast", 5 * pace, pace),
    )
    return TracedCall(7 * pace, nodes)


COSTS = {"step1/unet.conv/conv2d": NodeCost("step1/unet.conv/conv2d", "Conv", 6912, 1, 1, 0, 0)}


def test_stages_and_the_remainder_add_up_to_the_call() -> None:
    found = breakdown("profiler", [call(3), call(1), call(2)], COSTS, None)
    assert found is not None and found.engine_ms == 14 and found.calls == 3
    assert {stage.name: stage.ms for stage in found.stages} == {
        "condition/preprocess": 2, "step1/U-Net": 6, "decode/postprocess": 2,
    }  # fmt: skip
    assert found.unattributed_ms == 4  # the reorder between two stages, and what is between nodes
    assert sum(stage.ms for stage in found.stages) + found.unattributed_ms == found.engine_ms
    assert sum(stage.share for stage in found.stages) == pytest.approx(10 / 14)


def test_nodes_come_slowest_first_with_their_costs_and_roofline() -> None:
    found = breakdown("profiler", [call(1), call(2), call(3)], COSTS, Roof(1e6, 1e6, "a target"))
    assert found is not None
    first = found.nodes[0]
    assert (first.name, first.op, first.stage, first.shape) == (
        "step1/unet.conv/conv2d",
        "Conv",
        "step1/U-Net",
        (1, 8, 4, 4),
    )
    assert (first.ms, first.flops, first.bytes) == (6, 6912, 1000)
    assert first.roofline_ms == pytest.approx(6.912) and first.roofline_share == pytest.approx(6.912 / 6)
    assert [n.ms for n in found.nodes] == [6, 2, 2, 2] and found.peak_flops_per_s == 1e6


def test_a_measured_roof_is_raised_by_a_node_that_is_above_it() -> None:
    found = breakdown("profiler", [call(1)], COSTS, Roof(1e6, 1e9, "measured", measured=True))
    assert found is not None and found.peak_flops_per_s == pytest.approx(6912 / 0.003)
    assert max(n.roofline_share or 0 for n in found.nodes) == pytest.approx(1)


@pytest.mark.parametrize(
    ("op", "inputs", "shape", "flops"),
    [
        ("Conv", ((1, 3, 4, 4), (8, 3, 3, 3)), (1, 8, 4, 4), 2 * 128 * 27),
        ("FusedMatMul", ((2, 5, 7), (2, 7, 3)), (2, 5, 3), 2 * 30 * 7),
        ("FusedMatMul", ((2, 7, 5), (2, 3, 7)), (2, 5, 3), 2 * 30 * 7),
        ("Gemm", ((5, 7), (7, 3)), (5, 3), 2 * 15 * 7),
        ("Softmax", ((5, 7),), (5, 7), 0),
        ("Attention", ((5, 7), (7, 3)), (5, 3), None),
    ],
)
def test_a_fused_product_is_counted_from_shapes(
    op: str, inputs: tuple[tuple[int, ...], ...], shape: tuple[int, ...], flops: int | None
) -> None:
    one = TracedCall(1.0, (NodeTime("step1/unet.x/add", op, 0.0, 1.0, inputs, shape, 10),))
    add = {"step1/unet.x/add": NodeCost("step1/unet.x/add", "Add", 0, 1, 1, 0, 0)}
    found = breakdown("profiler", [one], add if op != "Attention" else {}, None)
    assert found is not None and found.nodes[0].flops == flops


def test_without_roof_or_calls_nothing_is_made_up() -> None:
    found = breakdown("profiler", [call(1)], {}, None)
    assert found is not None and found.roofline is None and found.nodes[0].roofline_share is None
    assert breakdown("profiler", [], {}, None) is None
