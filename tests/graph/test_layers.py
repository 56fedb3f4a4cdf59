"""Products with weights are layers; anything else is not."""

import onnx_ir as ir
import pytest

from codi_export.graph.layers import belongs, layers

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[1, 2] x, float[2, 3] other) => (float[1, 3] y)
    <float16[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2, 2] v = {1, 2, 3, 4}, float[2, 2] constant = {1, 2, 3, 4}>
    {
        wide = Cast <to = 1> (w)
        turned = Transpose (wide)
        a = MatMul(x, v)
        b = MatMul(a, constant)
        c = MatMul(b, other)
        d = MatMul(b, turned)
        y = Add(c, d)
    }
"""


def test_layers_are_found_through_casts_and_transposes() -> None:
    graph = ir.from_onnx_text(TEXT).graph
    for name in ("w", "v"):
        graph.initializers[name].name = f"unet.{name}.weight"
    found = {layer.name: (layer.node.outputs[0].name, layer.transposed) for layer in layers(graph)}
    assert found == {"unet.v": ("a", False), "unet.w": ("d", True)}


@pytest.mark.parametrize(
    ("name", "inside"),
    [("unet.a", True), ("unet.a.b", True), ("unet.a/conv2d", True), ("unet.ab", False), ("unet", False), ("c/d", True)],
)
def test_what_belongs_to_a_module(name: str, inside: bool) -> None:
    assert belongs(name, frozenset({"unet.a", "c/d"})) == inside
