"""Condition + N steps + decode in one graph: nodes are copied, weights are shared, the schedule becomes constants.

Every value is named after its stage and the module that makes it: `condition/vae.encoder.conv_in/conv2d`, ...,
`step1/unet.conv_in/conv2d`, ..., `decode/picture`. No Loop: TensorRT has run one iteration too many of those
(onnxruntime 13894).
"""

import numpy as np
import onnx_ir as ir

from codi_export.graph import passes, store
from codi_export.graph.export import Exported
from codi_export.samplers import Sampler, Update
from codi_export.spec import Schedule, Step

Values = dict[str, ir.Value]

TEXT = {"prompt": "prompt_embeds", "pooled": "pooled_prompt_embeds"}  # pieces' names -> the graph's


def unroll(pieces: Exported, schedule: Schedule, sampler: Sampler, name: str) -> ir.Model:
    """One graph: image uint8 [B, H, W, 3], noise float32 [B, C, h, w] -> output uint8 [B, H', W', 3].

    Inputs of some: mask uint8 [B, H, W, 1] after the image, prompt_embeds float32 [B, T, D], pooled_prompt_embeds
    [B, P] and adapter_scale [] last.
    """
    pictures = {name: _input(name, _find(pieces.condition, name)) for name in _pictures(pieces.condition)}
    noise = _input("noise", _find(pieces.step, "z"))
    taken = {str(value.name): value for value in pieces.step.graph.inputs}
    read = {name: _input(TEXT[name], taken[name]) for name in TEXT if name in taken and name not in pieces.prompt}
    scales = {name: _input(name, taken[name]) for name in ("adapter_scale",) if name in taken}
    inputs = [*pictures.values(), noise, *read.values(), *scales.values()]
    graph = ir.Graph(inputs, [], nodes=[], name=name, opset_imports=pieces.step.opset_imports)
    text = read | {name: _constant(graph, name, tensor) for name, tensor in pieces.prompt.items()}
    given = _append(graph, "condition", pieces.condition, {**pictures, **text})
    same = {name: value for name, value in given.items() if name != "seen"} | text | scales
    z = x = noise
    for index, step in enumerate(schedule.steps):
        stage = f"step{index + 1}"
        values = {"z": z, **same, **_constants(graph, stage, step)}
        x = _append(graph, stage, pieces.step, values)["x"]
        if index + 1 < len(schedule):
            z = _mix(graph, stage, sampler.update(step, schedule.steps[index + 1]), x, z, noise)
    output = _append(graph, "decode", pieces.decode, {"x": x, "seen": given["seen"]})["output"]
    output.name = "output"  # ONNX does not let an output share its name with the input `image`
    graph.outputs.append(output)
    model = ir.Model(graph, ir_version=pieces.step.ir_version)
    passes.run(model, passes.UNROLLED_PASSES)
    return model


def probes(schedule: Schedule) -> tuple[str, ...]:
    """The values that a graph is judged by: x of every step [B, C, h, w], then the float picture [B, 3, H', W']."""
    return (*(f"step{k + 1}/x" for k in range(len(schedule))), "decode/picture")


def _append(graph: ir.Graph, stage: str, piece: ir.Model, inputs: Values) -> Values:
    """Copy a piece's nodes to the end of `graph`, reading `inputs`; returns what the piece calls its outputs."""
    copy = piece.graph.clone()  # tensors are shared
    outputs = {str(value.name): value for value in copy.outputs}
    copy.outputs.clear()
    for value in copy.inputs:
        value.replace_all_uses_with(inputs[str(value.name)])
    for name, value in copy.initializers.items():
        shared = name if store.is_weight(name) else f"{copy.name}/{name}"  # every step reads `step/...`
        value.replace_all_uses_with(_constant(graph, shared, value.const_value))
    for node in list(copy):
        copy.remove(node)
        graph.append(node)
        _rename(node, stage)
    return outputs


def _rename(node: ir.Node, stage: str) -> None:
    for value in node.outputs:
        value.name = f"{stage}/{value.name}"
    node.name = node.outputs[0].name


def _mix(graph: ir.Graph, stage: str, update: Update, x: ir.Value, z: ir.Value, noise: ir.Value) -> ir.Value:
    """The next latent: the terms of `update` that are not zero, added up in the torch pipeline's order."""
    weights = {"x": (update.x, x), "z": (update.z, z), "noise": (update.noise, noise)}
    terms = []
    for name, (weight, value) in weights.items():
        if weight:
            factor = _constant(graph, f"{stage}/mix_{name}", ir.tensor(np.array(weight, np.float32)))
            terms.append(_node(graph, f"{stage}/next_{name}", "Mul", value, factor))
    total = terms[0]
    for term in terms[1:]:
        total = _node(graph, f"{term.name}_sum", "Add", total, term)
    return total


def _constants(graph: ir.Graph, stage: str, step: Step) -> Values:
    """The schedule's numbers for one step, as scalars."""
    numbers = {
        "t": np.array(step.t),
        "alpha": np.array(step.alpha, np.float32),
        "sigma": np.array(step.sigma, np.float32),
    }
    return {name: _constant(graph, f"{stage}/{name}", ir.tensor(number)) for name, number in numbers.items()}


def _pictures(piece: ir.Model) -> list[str]:
    names = [str(value.name) for value in piece.graph.inputs]
    return [name for name in names if name != "prompt"]


def _find(piece: ir.Model, name: str) -> ir.Value:
    return next(value for value in piece.graph.inputs if value.name == name)


def _input(name: str, like: ir.Value) -> ir.Value:
    return ir.Value(name=name, shape=like.shape, type=like.type)


def _constant(graph: ir.Graph, name: str, tensor: ir.TensorProtocol | None) -> ir.Value:
    """The initialiser called `name`: what is there already, or a new one."""
    assert tensor is not None
    if name not in graph.initializers:
        type_, shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        graph.register_initializer(ir.Value(name=name, type=type_, shape=shape, const_value=tensor))
    return graph.initializers[name]


def _node(graph: ir.Graph, name: str, op: str, *inputs: ir.Value) -> ir.Value:
    """A node whose one output, called as it is, has the type and shape of its first input."""
    node = ir.node(op, inputs, name=name)
    output = node.outputs[0]
    output.name, output.type, output.shape = name, inputs[0].type, inputs[0].shape
    graph.append(node)
    return output
