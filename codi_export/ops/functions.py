"""ONNX's side of the ops: functions of the domain `codi` over standard operators, and what torch's exporter needs.

A graph that calls `codi::GroupNormSilu` carries that function with it, so any runtime can run it. One that knows the
op by name (kernels/onnxruntime) takes its own kernel instead.
"""

from collections.abc import Callable, Mapping
from typing import Any

import onnx
import onnx.parser
from onnx.defs import OpSchema
from onnxscript import opset18
from onnxscript.values import Opset

DOMAIN, VERSION = "codi", 1
REAL = ("tensor(float)", "tensor(float16)")
INT, FLOAT = OpSchema.AttrType.INT, OpSchema.AttrType.FLOAT

codi = Opset(DOMAIN, VERSION)
standard: Any = opset18  # its own types know arrays only, not the values of a trace
declared: dict[str, onnx.FunctionProto] = {}
_needs: dict[str, tuple[str, ...]] = {}


def declare(
    text: str,
    attributes: Mapping[str, OpSchema.AttrType] | None = None,
    types: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
) -> None:
    """Make known the function that `text` (ONNX's own syntax) writes out, and the schema of its op.

    `types`: of inputs and outputs that are not of the common real type. `needs`: functions that it calls.
    """
    function = onnx.parser.parse_function(text)
    types = types or {}
    inputs, outputs = (
        [OpSchema.FormalParameter(name, types.get(name, "T")) for name in names]
        for names in (function.input, function.output)
    )
    wanted = [OpSchema.Attribute(name, kind) for name, kind in (attributes or {}).items()]
    schema = OpSchema(
        function.name,
        DOMAIN,
        VERSION,
        inputs=inputs,
        outputs=outputs,
        type_constraints=[("T", REAL, "the element type")],
        attributes=wanted,
    )
    if not onnx.defs.has(function.name, DOMAIN):
        onnx.defs.register_schema(schema)
    declared[function.name] = function
    _needs[function.name] = needs


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """What stands for an absent input: a single 0, which changes nothing and which a kernel leaves out."""
    value = standard.Constant(value=onnx.helper.make_tensor("absent", onnx.TensorProto.FLOAT, shape, [0.0]))
    return standard.CastLike(value, like)


def nothing_beside(x: Any) -> Any:
    """A second source without channels: x [..., C] cut to [..., 0]."""
    start, axis = (standard.Constant(value_ints=[value]) for value in (0, -1))
    return standard.Slice(x, start, start, axis)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """For `torch.onnx.export(custom_translation_table=…)`: every op of ours that ONNX has a function for."""
    from codi_export.ops import geglu, group_norm_silu, image_io, sampler_step

    table: dict[Callable[..., Any], Callable[..., Any]] = {}
    for module in (geglu, group_norm_silu, image_io, sampler_step):
        table |= module.translations()
    return table


def attach(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give `model` the functions that it calls and does not have yet."""
    present = {function.name for function in model.functions if function.domain == DOMAIN}
    calls = [node.op_type for node in model.graph.node if node.domain == DOMAIN]
    while calls:
        name = calls.pop()
        if name not in present:
            present.add(name)
            model.functions.append(declared[name])
            calls += _needs[name]
    if present and all(entry.domain != DOMAIN for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
    return model
