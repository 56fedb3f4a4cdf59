"""ControlNets that were trained with Flax, as torch's: the same tensors under other names, axes in another order.

The checkpoints are those of fast-codi/CoDi, whose ControlNet and `save_pretrained` are diffusers' Flax ones.
"""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from torch import Tensor

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import flax_tree
from codi_export.model.backbone import Backbone
from codi_export.model.flax_tree import Floats
from codi_export.model.parts import listed
from codi_export.spec import MAX_STEPS, AdapterSpec

TIMESTEPS = 1000
GROUPS = 32  # written into the Flax layers, so their config does not name it
AXES = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}  # [in, out] -> [out, in]; [H, W, in, out] -> [out, in, H, W]


def facts(task: str, points: int) -> AdapterSpec:
    """What fast-codi trains for: DDIM targets on the `points` timesteps 0, gap, 2 gap, ...; gap = 1000 // points.

    Its sampler takes every ceil(points / N)-th of them from the noisy end; `points` of 20 or more have enough for 4.
    """
    gap = TIMESTEPS // points
    strides = {n: -(-points // n) for n in range(1, MAX_STEPS + 1)}
    lists = {str(n): tuple(gap * (points - 1 - i * stride) for i in range(n)) for n, stride in strides.items()}
    return AdapterSpec(task, predictor="ddim", L=points, gap=gap, offset=-gap, timesteps=lists)


def load(path: Path, backbone: Backbone | None) -> ControlNetModel:
    """A checkpoint file or folder as a network, in float32.

    Its shape is told by the config.json beside the weights, else by the backbone's U-Net. Raises CodiError
    (missing-file, bad-model) unless each tensor of the checkpoint has one place in the network, and each place one.
    """
    arrays = flax_tree.read(path)
    net = _empty(_config(path, backbone), path)
    places = {_flax_name(name, tensor.ndim): (name, tensor.shape) for name, tensor in net.state_dict().items()}
    _require_same_names(arrays, places, path)
    state = {name: _tensor(arrays[flax], flax, shape) for flax, (name, shape) in places.items()}
    net.load_state_dict(state, assign=True)
    return net.eval().requires_grad_(False)


def _config(path: Path, backbone: Backbone | None) -> Mapping[str, Any]:
    file = (path if path.is_dir() else path.parent) / "config.json"
    if file.is_file():
        try:
            return dict(json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise CodiError(ErrorCode.BAD_MODEL, f"{file} is not a JSON object: {error}") from error
    if backbone is None:
        raise CodiError(
            ErrorCode.MISSING_FILE,
            f"no {file}, so the network's shape is unknown",
            "--model DIR, its backbone, tells it",
        )
    return dict(backbone.unet.config)


def _empty(config: Mapping[str, Any], path: Path) -> ControlNetModel:
    """The network without memory for its weights."""
    known = inspect.signature(ControlNetModel.__init__).parameters.keys() - {"self"}
    try:
        with torch.device("meta"):
            return ControlNetModel(**{k: v for k, v in config.items() if k in known} | {"norm_num_groups": GROUPS})
    except Exception as error:  # diffusers stumbles over a bad value wherever it first uses it
        raise CodiError(ErrorCode.BAD_MODEL, f"{path}: no ControlNet has such a config: {error}") from error


def _flax_name(name: str, axes: int) -> str:
    """down_blocks.0.conv1.weight, 4 axes -> down_blocks_0.conv1.kernel; the weight of a norm, 1 axis, is its scale."""
    stem, _, last = name.rpartition(".")
    kind = ("scale" if axes == 1 else "kernel") if last == "weight" else last
    return f"{re.sub(r'[.](?=[0-9])', '_', stem)}.{kind}"


def _require_same_names(arrays: Mapping[str, Any], places: Mapping[str, Any], path: Path) -> None:
    absent, unused = (listed(sorted(names)) for names in (places.keys() - arrays.keys(), arrays.keys() - places.keys()))
    if absent or unused:
        faults = [f"it lacks {absent}" if absent else "", f"nothing takes {unused}" if unused else ""]
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{path} does not fill the ControlNet of its config: {'; '.join(filter(None, faults))}",
            "expected the parameters of one FlaxControlNetModel, and its own config.json or backbone",
        )


def _tensor(array: Floats, name: str, shape: torch.Size) -> Tensor:
    axes = AXES[len(shape)]
    expected = tuple(shape[axes.index(axis)] for axis in range(len(axes)))
    if array.shape != expected:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{name} has shape {list(array.shape)}, expected {list(expected)}",
            "is the config.json, or --model, the one that it was trained with?",
        )
    tensor = torch.from_numpy(array.transpose(axes)).contiguous()
    if not tensor.half().isfinite().all():
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{name} holds values that fp16 cannot: beyond 65504, or not a number",
            "the file is damaged, or it was saved from a run that diverged",
        )
    return tensor
