"""What depends on a constant timestep and the backbone becomes a constant; adapters and the prompt do not."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export import registry
from codi_export.graph import passes, store
from codi_export.graph.passes.fold_time import FoldTime
from codi_export.graph.unroll import unroll
from tests import tiny

# a block's shift from the embedding e: e w^T + b, seen from x
TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2, 2] x) => (float[2, 2] y)
    <float[1, 2] e = {1, 2}, float[2, 2] w = {1, 2, 3, 4}, float[2] b = {0.5, -0.5}>
    {
        wide = Cast <to = 1> (w)
        turned = Transpose <perm = [1, 0]> (wide)
        product = MatMul(e, turned)
        shift = Add(product, b)
        y = Add(x, shift)
    }
"""


def model(weight: str = "unet.w", given: str = "e") -> ir.Model:
    made = ir.from_onnx_text(TEXT)
    made.graph.initializers["w"].name = weight
    made.graph.initializers["e"].name = given
    return made


def run(one: ir.Model) -> list[str]:
    passes.run(one, [FoldTime(), RemoveUnusedNodesPass()])
    return [node.op_type for node in one.graph]


def test_a_projection_of_a_constant_is_computed() -> None:
    one = model()
    assert run(one) == ["Add"]
    shift = one.graph.initializers["shift"].const_value
    assert shift is not None
    np.testing.assert_array_equal(shift.numpy(), [[5.5, 10.5]])
    assert "unet.w" not in one.graph.initializers, "no bundle needs it"


@pytest.mark.parametrize(("weight", "given"), [("adapter.w", "e"), ("unet.w", "prompt"), ("unet.w", "step/negative")])
def test_what_can_be_swapped_and_what_is_made_of_the_prompt_stays(weight: str, given: str) -> None:
    one = model(weight, given)
    assert run(one) == ["Cast", "Transpose", "MatMul", "Add", "Add"]


def test_a_weight_that_is_only_cast_and_turned_stays() -> None:
    one = ir.from_onnx_text(TEXT.replace("MatMul(e, turned)", "MatMul(x, turned)"))
    one.graph.initializers["w"].name = "unet.w"
    assert run(one)[:3] == ["Cast", "Transpose", "MatMul"]


def test_a_second_time_changes_nothing() -> None:
    one = model()
    run(one)
    assert not FoldTime()(one).modified


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_no_graph_reads_the_backbones_time_weights(kind: tiny.Kind) -> None:

    one = unroll(tiny.exported(kind), tiny.recipe(kind).schedules[1], registry.get("samplers", "prev"), "sr")
    names = [name for name in one.graph.initializers if store.is_weight(name) and "time_emb" in name]
    assert names and all(name.startswith("adapter.") for name in names)
    assert passes.run(one, passes.UNROLLED_PASSES) == []
