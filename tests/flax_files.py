"""Flax checkpoints of torch networks, written without Flax: the other way round than `codi_export.model.from_flax`."""

import json
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray
from torch import nn

from codi_export.model import backbone as backbones

Tree = dict[str, Any]
# As FlaxControlNetModel writes it: options that torch does not have, and no number of groups.
ONLY_FLAX = {"_class_name": "FlaxControlNetModel", "sample_size": 8, "dropout": 0.0, "num_attention_heads": None}
BOTH = (
    "attention_head_dim",
    "block_out_channels",
    "conditioning_embedding_out_channels",
    "cross_attention_dim",
    "down_block_types",
    "in_channels",
    "layers_per_block",
    "use_linear_projection",
)


def controlnet(backbone: Path, widths: tuple[int, ...] = (4, 8, 16)) -> ControlNetModel:
    """A seeded network for a toy backbone, none of its tensors zero, normalised in 32 groups as Flax's.

    `widths` are its condition embedding's.
    """
    torch.manual_seed(2)
    unet = backbones.load(backbone).unet
    like = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths).config
    net = ControlNetModel.from_config({**like, "norm_num_groups": 32})
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.1)
    return net.eval()


def tree(net: nn.Module) -> Tree:
    """The nested maps that Flax would have: layer by layer, kernels as Flax's layers multiply with them."""
    root: Tree = {}
    for name, layer in net.named_modules():
        leaves = _leaves(layer)
        if leaves:
            branch = root
            for part in _parts(name):
                branch = branch.setdefault(part, {})
            branch.update(leaves)
    return root


def _parts(name: str) -> list[str]:
    """A list's items are attributes in Flax: blocks.0 is blocks_0."""
    parts: list[str] = []
    for part in name.split("."):
        if part.isdigit():
            parts[-1] += f"_{part}"
        else:
            parts.append(part)
    return parts


def _leaves(layer: nn.Module) -> dict[str, NDArray[np.float32]]:
    match layer:
        case nn.Conv2d():
            leaves = {"kernel": layer.weight.permute(2, 3, 1, 0)}
        case nn.Linear():
            leaves = {"kernel": layer.weight.T}
        case nn.GroupNorm() | nn.LayerNorm():
            leaves = {"scale": layer.weight}
        case _:
            return {}
    if layer.bias is not None:
        leaves["bias"] = layer.bias
    return {key: np.ascontiguousarray(value.detach().numpy()) for key, value in leaves.items()}


def pack(branch: Any, dtype: str = "float32") -> bytes:
    """Nested maps as msgpack; arrays as extensions of type 1: [shape, dtype, bytes], row by row."""
    return bytes(msgpack.packb(branch, default=lambda array: _extension(array, dtype)))


def _extension(array: NDArray[np.float32], dtype: str) -> msgpack.ExtType:
    data = (array.view(np.uint32) >> 16).astype("<u2") if dtype == "bfloat16" else array.astype(dtype)
    return msgpack.ExtType(1, msgpack.packb([list(array.shape), dtype, data.tobytes()]))


def write(net: ControlNetModel, folder: Path, file: str = "diffusion_flax_model.msgpack") -> Path:
    """A checkpoint folder as `FlaxControlNetModel.save_pretrained` leaves it."""
    folder.mkdir(parents=True)
    (folder / file).write_bytes(pack(tree(net)))
    config = ONLY_FLAX | {key: net.config[key] for key in BOTH}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def store_outside(folder: Path, database: bool) -> None:
    """Move the arrays of a folder's `checkpoint` out of it, as orbax does with arrays that are spread over devices."""
    import tensorstore

    def move(branch: Tree, names: tuple[str, ...]) -> Tree:
        return {key: put(value, (*names, key)) for key, value in branch.items()}

    def put(value: Any, names: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            return move(value, names)
        name = ".".join(names)
        files = {"driver": "file", "path": f"{folder if database else folder / name}/"}
        store = {"driver": "ocdbt", "base": files, "path": f"{name}/"} if database else files
        spec = {"driver": "zarr", "kvstore": store, "metadata": {"compressor": {"id": "zstd", "level": 1}}}
        tensorstore.open(spec, create=True, dtype="float32", shape=value.shape).result().write(value).result()
        return f"PLACEHOLDER://{name}"

    arrays = msgpack.unpackb((folder / "checkpoint").read_bytes(), ext_hook=_unpacked)
    (folder / "checkpoint").write_bytes(msgpack.packb(move(arrays, ())))


def _unpacked(code: int, data: bytes) -> NDArray[np.float32]:
    shape, _, values = msgpack.unpackb(data)
    return np.frombuffer(values, np.float32).reshape(shape)
