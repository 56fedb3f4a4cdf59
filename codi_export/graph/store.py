"""Graphs on disk: an ONNX file whose tensors lie in safetensors files beside it, found by offset and length.

`backbone.safetensors` and `<task>.safetensors` hold the backbone's and the adapter's tensors as their own files have
them, so that a file of the same layout can stand in for another. What is derived from them or from the build's options
(the prompt's embedding, resize matrices) lies in `<graph>.safetensors`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx_ir as ir

WEIGHTS = ("unet.", "vae.", "adapter.")
INLINE = 256  # bytes: shapes and scalars stay in the graph, where shape inference reads them
PAGE = 4096  # data starts at a multiple of it, whatever the header's text
DTYPES = {
    ir.DataType.FLOAT: "F32",
    ir.DataType.FLOAT16: "F16",
    ir.DataType.BFLOAT16: "BF16",
    ir.DataType.INT64: "I64",
    ir.DataType.INT32: "I32",
    ir.DataType.UINT8: "U8",
    ir.DataType.BOOL: "BOOL",
}

Tensors = dict[str, ir.TensorProtocol]


def is_weight(name: str) -> bool:
    """Whether an initialiser is a tensor of the backbone's or the adapter's own files."""
    return name.startswith(WEIGHTS)


def save_weights(models: Iterable[ir.Model], folder: Path, task: str) -> None:
    """Write the models' weights to `folder`, each once; the models then read them from there."""
    values = [value for model in models for name, value in model.graph.initializers.items() if is_weight(name)]
    weights = {_name(value): _tensor(value) for value in values}
    adapter = {name: tensor for name, tensor in weights.items() if name.startswith("adapter.")}
    backbone = {name: tensor for name, tensor in weights.items() if name not in adapter}
    stored = write(folder / "backbone.safetensors", backbone) | write(folder / f"{task}.safetensors", adapter)
    for value in values:
        value.const_value = stored[_name(value)]


def save(model: ir.Model, path: Path) -> None:
    """Write a graph to `path`, beside the files of `save_weights`; what these do not hold goes to a file of its own."""
    tensors = {name: _tensor(value) for name, value in model.graph.initializers.items()}
    derived = {n: t for n, t in tensors.items() if t.nbytes > INLINE and not isinstance(t, ir.ExternalTensor)}
    if derived:
        for name, tensor in write(path.with_suffix(".safetensors"), derived).items():
            model.graph.initializers[name].const_value = tensor
    ir.save(model, path)


def save_probe(path: Path, probe: Path, names: Iterable[str]) -> None:
    """Write to `probe`, in the same folder, the graph of `path` with the values called `names` as further outputs."""
    model = ir.load(path)
    values = {output.name: output for node in model.graph for output in node.outputs}
    model.graph.outputs.extend(values[name] for name in names)
    ir.save(model, probe)


def write(path: Path, tensors: Mapping[str, ir.TensorProtocol]) -> Tensors:
    """Write a new safetensors file, one tensor in memory at a time; returns the same tensors, read from it on demand.

    Same names, shapes and types give the same header, byte for byte, so another adapter's data lie at the same offsets.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))  # keeps each aligned
    header = _header(ordered)
    offset, stored = len(header), dict[str, ir.TensorProtocol]()
    with path.open("xb") as file:
        file.write(header)
        for name, tensor in ordered:
            file.write(tensor.tobytes())
            stored[name] = ir.ExternalTensor(
                path.name,
                offset,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=name,
                base_dir=path.parent,
            )
            offset += tensor.nbytes
    return stored


def layout_hash(path: Path) -> str:
    """Hexadecimal SHA-256 of a safetensors file's header: equal for files that may stand in for each other."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return hashlib.sha256(file.read(length)).hexdigest()


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
