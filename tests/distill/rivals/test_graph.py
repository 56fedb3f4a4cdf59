import pytest
import torch
from torch import nn

from codi_export.errors import CodiError, ErrorCode
from distill.rivals.graph import DepthToSpace, Graph, Node, Sum, same_convolution


def test_a_value_can_be_used_again() -> None:
    nodes = [Node("a", nn.ReLU(), ("x",)), Node("b", Sum(1, -2), ("x", "a")), Node("c", Sum(), ("a", "b", "a"))]
    x = torch.tensor([[-1.0, 3.0]])
    torch.testing.assert_close(Graph("x", nodes, "c")(x), torch.tensor([[-1.0, 3.0]]))


@pytest.mark.parametrize(("nodes", "output"), [([Node("b", Sum(), ("a",))], "b"), ([Node("a", Sum(), ("x",))], "b")])
def test_loose_ends_are_refused(nodes: list[Node], output: str) -> None:
    with pytest.raises(CodiError) as caught:
        Graph("x", nodes, output)
    assert caught.value.code is ErrorCode.BAD_MODEL


def test_depth_to_space_is_tensorflows() -> None:
    """Its documentation's example: a pixel with the channels of four pixels, one after another."""
    x = torch.arange(1.0, 13).view(1, 12, 1, 1)
    expected = torch.tensor([[[1.0, 4], [7, 10]], [[2, 5], [8, 11]], [[3, 6], [9, 12]]])[None]
    torch.testing.assert_close(DepthToSpace(2)(x), expected)


def test_even_kernels_are_refused() -> None:
    with pytest.raises(CodiError, match="2 x 2"):
        same_convolution(torch.zeros(1, 1, 2, 2), torch.zeros(1))
