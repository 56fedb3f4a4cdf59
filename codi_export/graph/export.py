"""nn.Module -> onnx_ir.Model. Each piece is traced once, whatever the number of steps.

Weights keep the names and the layout that they have in the backbone's and the adapter's own files (see `store`).
"""

import ast
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from onnx_ir.tensor_adapters import TorchTensor
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import passes
from codi_export.graph.cache import Cache
from codi_export.model import structure
from codi_export.model.fuse import Pieces
from codi_export.model.storage import computing_in_float32, skeleton
from codi_export.spec import GRAPH_OPSETS

OPSET = GRAPH_OPSETS["fp32"]  # a piece is traced once, for every precision
SCOPES = "pkg.torch.onnx.name_scopes"  # of a node: the modules that it lies in, from the outermost, then its own name


@dataclass(frozen=True, slots=True)
class Exported:
    """The three pieces as graphs with named inputs and outputs, and the fixed prompt by the name that pieces have for
    it: `prompt` [B, T, D], of an SDXL `pooled` [B, P] too; empty if each call brings its own.

    `condition`: image, prompt (and mask) -> condition1, ..., seen ·
    `step`: z, t, alpha, sigma, prompt, condition1, ... (pooled, adapter_scale) -> x ·
    `decode`: x, seen -> output, picture.
    """

    condition: ir.Model
    step: ir.Model
    decode: ir.Model
    prompt: Mapping[str, ir.TensorProtocol]

    @property
    def models(self) -> tuple[ir.Model, ...]:
        """The three pieces, in the order of the work."""
        return self.condition, self.step, self.decode


@torch.no_grad()
def export(pieces: Pieces, inputs: dict[str, NDArray[Any]], cache: Cache) -> Exported:
    """Trace the pieces at the sizes of an engine's inputs: `image` [B, H, W, 3], `noise` [B, C, h, w], and where it
    takes them `mask` [B, H, W, 1], `prompt_embeds` [B, T, D] and what follows it, and `adapter_scale` []. What
    `cache` holds is not traced again."""
    z = torch.from_numpy(inputs["noise"])
    prompt = pieces.prompt.expand(len(z), -1, -1).contiguous()
    pooled = {} if pieces.pooled is None else {"pooled": pieces.pooled.expand(len(z), -1).contiguous()}
    given = {"image": torch.from_numpy(inputs["image"]), "prompt": prompt}
    if "mask" in inputs:
        given["mask"] = torch.from_numpy(inputs["mask"])
    with computing_in_float32(pieces.condition):
        *embedded, seen = pieces.condition(**given)
    condition = {f"condition{k}": tensor for k, tensor in enumerate(embedded, start=1)}
    # Three tensors, never one twice: torch.export takes the same object for the same input.
    scalars = {"t": torch.tensor(1), "alpha": torch.tensor(0.6), "sigma": torch.tensor(0.8)}
    scale = {"adapter_scale": torch.tensor(0.7)} if "adapter_scale" in inputs else {}
    step = {"z": z, **scalars, "prompt": prompt, **condition, **pooled, **scale}
    fixed = {"prompt": prompt, **pooled}
    return Exported(
        condition=trace("condition", pieces.condition, given, (*condition, "seen"), cache),
        step=trace("step", pieces.step, step, ("x",), cache),
        decode=trace("decode", pieces.decode, {"x": z, "seen": seen}, ("output", "picture"), cache),
        prompt={} if "prompt_embeds" in inputs else {name: ir.tensor(text.numpy()) for name, text in fixed.items()},
    )


def trace(name: str, module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...], cache: Cache) -> ir.Model:
    """One module as a graph called `name`, from the cache if it is there. Its weights are views of the module's own
    memory, not copies, and called alike in every piece that has them: `step.denoiser.adapter.x` is `adapter.x`."""
    weights = {_shared(key): TorchTensor(tensor, key) for key, tensor in module.state_dict().items()}
    module = skeleton(module)
    said = {f"input {key}": f"{tensor.dtype} {[*tensor.shape]}" for key, tensor in inputs.items()}
    fields = {**structure.fields(module.eval()), **said, "outputs": " ".join(outputs), "opset": str(OPSET)}
    model = cache.load(name, fields, weights)
    if model is None:
        model = _traced(name, module, inputs, outputs)
        cache.save(name, fields, model, weights)
        for key, value in model.graph.initializers.items():
            value.const_value = weights.get(key, value.const_value)
    return model


def _traced(name: str, module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...]) -> ir.Model:
    """`trace` without a cache.

    The exporter's own optimiser stays off: it merges weights that are equal today (an adapter begins as a copy of the
    U-Net) and transposes others; neither could then be swapped for another adapter's.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is absent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch itself
        try:
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise _inexpressible(name, error) from error
    assert program is not None
    model = program.model
    if model.opset_imports.get("") != OPSET:
        raise _inexpressible(name, f"the exporter made opset {model.opset_imports.get('')}")
    model.graph.name = name
    for key, value in list(model.graph.initializers.items()):
        value.name = _shared(key)
    modules = _modules(model.graph)
    ClearMetadataAndDocStringPass()(model)  # stack traces: megabytes a step, and paths of the machine that built it
    passes.run(model)
    _name_after(modules, model.graph)
    return model


def _modules(graph: ir.Graph) -> dict[ir.Value, str]:
    """Which module makes a value, as the exporter noted it: `unet.down_blocks.0.resnets.0.conv1`."""
    scopes = {node: ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))[:-1] for node in graph}  # last: the op
    return {value: _shared(scopes[node][-1]) for node in graph if scopes[node] for value in node.outputs}


def _name_after(modules: dict[ir.Value, str], graph: ir.Graph) -> None:
    """`conv2d_9` becomes `unet.down_blocks.0.resnets.0.conv1/conv2d_9`; what the piece gives keeps its name."""
    outputs = set(graph.outputs)
    for node in graph:
        for value in node.outputs:
            if value not in outputs and (module := modules.get(value)):
                value.name = f"{module}/{value.name}"


def _inexpressible(name: str, error: object) -> CodiError:
    """The exporter's errors begin with advice; what failed is the last cause."""
    cause = error
    while isinstance(cause, BaseException) and (cause.__cause__ or cause.__context__):
        cause = cause.__cause__ or cause.__context__
    said = str(cause).strip().partition("\n")[0]
    return CodiError(
        ErrorCode.BAD_MODEL,
        f"'{name}' cannot be written with the operators of ONNX opset {OPSET}: {said}",
        "the model has a layer that the exporter does not know, or that needs a newer opset",
    )


def _shared(key: str) -> str:
    return key.rpartition("denoiser.")[2]
