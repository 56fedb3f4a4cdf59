"""Graphs on disk: an ONNX file whose tensors lie in safetensors files beside it, found by offset and length.

`backbone.safetensors` and `<task>.safetensors` hold the backbone's and the adapter's tensors as their own files have
them, so that a file of the same layout can stand in for another; `encoder.safetensors` the part of the VAE that only
some tasks need. Graphs with int8 weights have `backbone.int8.safetensors` and `encoder.int8.safetensors` in place of
these, so that others may share the bundle. What is derived from the tensors or from the build's options (the prompt's
embedding, resize matrices) lies in `<graph>.safetensors`, and so do weights that a task needs in another type than the
one before it, which quantised other layers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import onnx_ir as ir

from codi_export import files
from codi_export.errors import CodiError, ErrorCode

ADAPTERS = ("adapter.", "others.")
WEIGHTS = ("unet.", "vae.", "text.", *ADAPTERS)
ENCODER = ("vae.encoder.", "vae.quant_conv.")
INLINE = 256  # bytes: shapes and scalars stay in the graph, where shape inference reads them
PAGE = 4096  # data starts at a multiple of it, whatever the header's text
DTYPES = {
    ir.DataType.FLOAT: "F32",
    ir.DataType.FLOAT16: "F16",
    ir.DataType.BFLOAT16: "BF16",
    ir.DataType.INT64: "I64",
    ir.DataType.INT32: "I32",
    ir.DataType.INT8: "I8",
    ir.DataType.UINT8: "U8",
    ir.DataType.BOOL: "BOOL",
}
KINDS = {name: kind for kind, name in DTYPES.items()}

Tensors = dict[str, ir.TensorProtocol]


def is_weight(name: str) -> bool:
    """Whether an initialiser is a tensor of the backbone's or the adapter's own files."""
    return name.startswith(WEIGHTS)


def save_weights(models: Iterable[ir.Model], folder: Path, task: str) -> None:
    """Have the models' weights in `folder`, each once; the models then read them from there. Quantised models keep what
    a file of an earlier task lacks, for `save`: that task has these layers in another type.

    Raises CodiError (bad-option) if a file of an earlier graph holds other weights than these.
    """
    values = [value for model in models for name, value in model.graph.initializers.items() if is_weight(name)]
    kind = ".int8" if any(value.dtype == ir.DataType.INT8 for value in values) else ""
    weights: dict[str, Tensors] = {}
    for value in values:
        weights.setdefault(_file(_name(value), task, kind), {})[_name(value)] = _tensor(value)
    stored: Tensors = {}
    for file, part in weights.items():
        there = files.header(folder / file)[1] if kind and (folder / file).exists() else part
        stored |= share(folder / file, {name: tensor for name, tensor in part.items() if name in there})
    for value in values:
        value.const_value = stored.get(_name(value), value.const_value)


def _file(name: str, task: str, kind: str) -> str:
    if name.startswith(ADAPTERS):
        return f"{task}.safetensors"
    return f"encoder{kind}.safetensors" if name.startswith(ENCODER) else f"backbone{kind}.safetensors"


def save(model: ir.Model, path: Path) -> None:
    """Write a graph to `path`, beside the files of `save_weights`; what these do not hold goes to a file of its own."""
    tensors = {name: _tensor(value) for name, value in model.graph.initializers.items()}
    derived = {n: t for n, t in tensors.items() if t.nbytes > INLINE and not isinstance(t, ir.ExternalTensor)}
    if derived:
        for name, tensor in write(path.with_suffix(".safetensors"), derived).items():
            model.graph.initializers[name].const_value = tensor
    for name in sorted(model.graph.initializers):  # in an order that does not tell how the graph came about
        model.graph.initializers[name] = model.graph.initializers.pop(name)
    ir.save(model, path)


def load(path: Path) -> ir.Model:
    """A graph as it was saved; its weights are read where they are used."""
    return ir.load(path)


def save_probe(
    path: Path, probe: Path, names: Iterable[str], rewrite: Callable[[ir.Model], None] = lambda _: None
) -> None:
    """Write to `probe`, in the same folder, the graph of `path`, rewritten, with the values called `names` as further
    outputs."""
    model = ir.load(path)
    rewrite(model)
    values = {output.name: output for node in model.graph for output in node.outputs}
    model.graph.outputs.extend(values[name] for name in names)
    ir.save(model, probe)


def write(path: Path, tensors: Mapping[str, ir.TensorProtocol]) -> Tensors:
    """Write a new safetensors file, one tensor in memory at a time; returns the same tensors, read from it on demand.

    Same names, shapes and types give the same header, byte for byte, so another adapter's data lie at the same offsets.
    """
    with path.open("xb") as file:
        for block in _blocks(tensors):
            file.write(block)
    return dict(_placed(path))


def share(path: Path, tensors: Mapping[str, ir.TensorProtocol]) -> Tensors:
    """As `write`; a file that is there already must hold each of them, the same to the byte. Raises CodiError
    (bad-option)."""
    if not path.exists():
        return write(path, tensors)
    placed = _placed(path)
    with path.open("rb") as file:
        other = [
            name for name, tensor in tensors.items() if not (name in placed and _holds(file, placed[name], tensor))
        ]
    if other:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"the bundle's {path.name} holds other weights than this build brings, {len(other)} of {len(tensors)}: "
            f"{other[0]}",
            "graphs of one bundle share one backbone, and those of a task one adapter: choose another -o. An adapter "
            "with a U-Net of its own, or with changes to it, has a bundle to itself. SDXL that reads prompts with each "
            "call has to come first: it stores more than one whose prompt is built in",
        )
    return {name: placed[name] for name in tensors}


def _blocks(tensors: Mapping[str, ir.TensorProtocol]) -> Iterator[bytes]:
    """The bytes of a safetensors file with these."""
    yield _header(_ordered(tensors))
    for _, tensor in _ordered(tensors):
        yield tensor.tobytes()


def _placed(path: Path) -> dict[str, ir.ExternalTensor]:
    """What a safetensors file holds."""
    header, entries = files.header(path)
    placed = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        kind, shape = KINDS[entry["dtype"]], ir.Shape(entry["shape"])
        placed[name] = ir.ExternalTensor(
            path.name, len(header) + begin, end - begin, kind, shape=shape, name=name, base_dir=path.parent
        )
    return placed


def _holds(file: BinaryIO, there: ir.ExternalTensor, tensor: ir.TensorProtocol) -> bool:
    """Whether `there`, a part of `file`, is `tensor`, the same to the byte."""
    assert there.offset is not None and there.length is not None
    file.seek(there.offset)
    alike = there.dtype == tensor.dtype and there.shape.numpy() == tensor.shape.numpy()
    return alike and file.read(there.length) == tensor.tobytes()


def _ordered(tensors: Mapping[str, ir.TensorProtocol]) -> list[tuple[str, ir.TensorProtocol]]:
    return sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # keeps each aligned


def _header(ordered: list[tuple[str, ir.TensorProtocol]]) -> bytes:
    entries, offset = {}, 0
    for name, tensor in ordered:
        end = offset + tensor.nbytes
        entries[name] = {"dtype": DTYPES[tensor.dtype], "shape": tensor.shape.numpy(), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % PAGE)
    return len(text).to_bytes(8, "little") + text


def _name(value: ir.Value) -> str:
    assert value.name is not None
    return value.name


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    assert value.const_value is not None, f"{value.name} has no value"
    return value.const_value
