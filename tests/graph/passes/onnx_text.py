"""Small graphs for tests of passes."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator


def model(text: str) -> ir.Model:
    """The graph that `text` writes out, with the shapes of all its values."""
    return ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(ir.from_onnx_text(text))))


def ops(one: ir.Model) -> list[str]:
    """Its operators, in order."""
    return [node.op_type for node in one.graph]


def exact(one: ir.Model, **shapes: tuple[int, ...]) -> NDArray[np.generic]:
    """Its first output by the operators' definitions, in float64, for inputs that are the same in every call."""
    rng = np.random.default_rng(0)
    found: NDArray[np.generic] = ReferenceEvaluator(ir.to_proto(one)).run(  # type: ignore[assignment, index]
        None, {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    )[0]
    return found


def run(one: ir.Model) -> NDArray[np.generic]:
    """Its first output in ONNX Runtime, which inlines functions, for inputs that are the same in every call."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(ir.to_proto(one).SerializeToString(), options)
    rng = np.random.default_rng(0)
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    feeds = {each.name: rng.standard_normal(each.shape).astype(types[each.type]) for each in session.get_inputs()}
    found: NDArray[np.generic] = session.run(None, feeds)[0]
    return found
