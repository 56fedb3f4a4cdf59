"""Keep weights as float16.

Before: Conv(x, w) with w float32
After:  Conv(x, Cast(w, float32)) with w float16

Half the bytes on disk. Runtimes compute the cast once, when they load; a graph that computes in float16 loses it
(`merge_casts`).
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.casts import cast, prepend
from codi_export.graph.store import is_weight


class StoreHalf(InPlacePass):
    """A weight is rounded when it is written, so that only one at a time is in memory twice."""

    def call(self, model: ir.Model) -> PassResult:
        named = model.graph.initializers.items()
        weights = [value for name, value in named if is_weight(name) and _is_wide(value)]
        for weight in weights:
            _store(model.graph, weight)
        return PassResult(model, modified=bool(weights))


def _is_wide(weight: ir.Value) -> bool:
    """The scales of an int8 weight stay float32."""
    return weight.dtype == ir.DataType.FLOAT and all(user.op_type != "DequantizeLinear" for user in weight.consumers())


def _store(graph: ir.Graph, weight: ir.Value) -> None:
    node = cast(weight, ir.DataType.FLOAT, f"{weight.name}/wide")
    readers = [(user, index) for user, index in weight.uses() if user is not node]
    for user, index in readers:
        user.replace_input_with(index, node.outputs[0])
    prepend(graph, node)
    weight.type = ir.TensorType(ir.DataType.FLOAT16)
    weight.const_value = _half(weight.const_value)


def _half(tensor: ir.TensorProtocol | None) -> ir.TensorProtocol:
    assert tensor is not None

    def rounded() -> ir.TensorProtocol:
        return ir.tensor(tensor.numpy().astype(np.float16))

    return ir.LazyTensor(rounded, ir.DataType.FLOAT16, ir.Shape(tensor.shape.numpy()), name=tensor.name)
