"""What nodes cost: against torch's own counter, and by hand."""

import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from codi_export import registry
from codi_export.costs import NodeCost
from codi_export.graph import cost, passes
from codi_export.graph.unroll import unroll
from tests import tiny

KINDS = tiny.KINDS
CLOSE = 0.02  # the graph leaves out what is multiplied by constants only: a timestep's embedding


def graph(kind: tiny.Kind, steps: int) -> ir.Model:
    schedule = next(s for s in tiny.recipe(kind).schedules if len(s) == steps)
    model = unroll(tiny.exported(kind), schedule, registry.get("samplers", "prev"), "sr")
    passes.run(model)
    return model


@torch.no_grad()
def counted(module: nn.Module, *inputs: torch.Tensor) -> tuple[int, tuple[torch.Tensor, ...]]:
    """As matrix products: torch's counter does not know the CPU's fused attention."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = module(*inputs)
    return counter.get_total_flops(), outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_that_torch_counts(kind: tiny.Kind) -> None:
    pieces, exported = tiny.recipe(kind).pieces(), tiny.exported(kind)
    image, noise = (torch.from_numpy(array) for array in tiny.inputs(kind))
    condition, (*embedded, seen) = counted(pieces.condition, image, pieces.prompt)
    scalars = (torch.tensor(500), torch.tensor(0.6), torch.tensor(0.8))
    step, (x,) = counted(pieces.step, noise, *scalars, pieces.prompt, *embedded)
    decode, _ = counted(pieces.decode, x, seen)
    for wanted, model in zip((condition, step, decode), exported.models, strict=True):
        assert sum(node.flops for node in cost.count(model)) == pytest.approx(wanted, rel=CLOSE), model.graph.name


def test_each_further_step_costs_the_same() -> None:
    nodes = cost.count(graph("v_prediction", 4))
    flops = {stage: sum(node.flops for node in nodes if node.stage == stage) for stage in ("step2", "step3", "step4")}
    assert len(set(flops.values())) == 1 and flops["step2"] > 0


def test_every_node_has_its_row_under_its_own_name() -> None:
    model = graph("epsilon", 2)
    nodes = cost.count(model)
    assert [node.name for node in nodes] == [node.name for node in model.graph]
    assert {node.stage for node in nodes} == {"condition", "step1", "step2", "decode"}


def rows(text: str) -> dict[str, NodeCost]:
    model = ir.from_onnx_text(text)
    for node in model.graph:
        node.name = node.outputs[0].name
    return {row.name: row for row in cost.count(model)}


def test_by_hand() -> None:
    """Each row's own numbers: bytes in and out, what stays alive, views that move nothing, sums written in place."""
    found = rows("""
        <ir_version: 10, opset_import: ["" : 18]>
        agraph (float[1,3,4,4] x) => (float[1,32] y)
        <float[2,3,3,3] w, int64[2] s = {1, 32}, float[1,2,4,4] a, float[1,2,4,4] b, float[1,2,4,4] c> {
            a = Conv <pads = [1, 1, 1, 1]> (x, w)
            b = Relu (a)
            c = Add (a, b)
            y = Reshape (c, s)
        }
    """)
    assert found["a"].flops == 2 * 32 * 27
    assert (found["a"].bytes_read, found["a"].bytes_written, found["a"].live_bytes) == (4 * (48 + 54), 128, 128)
    assert found["b"].live_bytes == 256, "a is read again, so b has memory of its own"
    assert found["c"].live_bytes == 256, "c is written over a or b"
    assert (found["y"].bytes_read, found["y"].bytes_written, found["y"].live_bytes) == (0, 0, 128)
