"""Low-rank changes (LoRA, arXiv 2106.09685): every weight becomes W + scale B A.

Our own files have diffusers' key names; files of others may have its older ones, peft's or kohya's, and may change the
text encoder too.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import LORA

PEFT_SETTINGS = "adapter_config.json"
OWNERS = {
    "unet.": "unet",
    "lora_unet_": "unet",
    "base_model.model.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
KEY = re.compile(r"(?P<layer>.+?)(?:[._]lora(?:_linear_layer)?[._](?P<part>A|B|down|up)\.weight|\.(?P<alpha>alpha))")
NAMED = 3  # keys in an error

Net = TypeVar("Net", bound=nn.Module)
Layers: TypeAlias = Mapping[str, nn.Conv2d | nn.Linear]


class LowRank(nn.Module):
    """W -> W + B A, W seen as [out, in]; B is zero at first, so that nothing changes until it is trained."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.B = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.A, a=5**0.5)

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.B @ self.A).view_as(weight)


def add(unet: UNet2DConditionModel, rank: int) -> UNet2DConditionModel:
    """Give every convolution and linear layer a change of `rank` to train; all else in `unet` is frozen."""
    unet.requires_grad_(False)
    for layer in _layers(unet).values():
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))
    return unet


def save(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write the changes that `add` made room for, in fp16."""
    tensors = {}
    for name, layer in _layers(unet).items():
        change = _change(layer)
        window = layer.weight.shape[2:]  # a convolution's A slides, its B is 1 x 1
        tensors[f"unet.{name}.lora_A.weight"] = change.A.view(len(change.A), -1, *window)
        tensors[f"unet.{name}.lora_B.weight"] = change.B.view(*change.B.shape, *(1 for _ in window))
    save_file({key: tensor.detach().half().contiguous() for key, tensor in tensors.items()}, folder / LORA)


@torch.no_grad()
def merge(net: Net, file: Path, scale: float = 1.0, owner: str = "unet") -> Net:
    """Add what a file changes in its `owner`, the U-Net or a text encoder, to the weights of `net`, in place.

    Raises CodiError (bad-model) for a key that names no layer, and for a change that does not fit its layer.
    """
    layers = _layers(net)
    for name, (a, b, strength) in _changes(layers, file, owner).items():
        layers[name].weight += scale * strength * (b @ a).view_as(layers[name].weight)
    return net


@torch.no_grad()
def resume(unet: UNet2DConditionModel, file: Path) -> None:
    """Take up training at a file's changes, in the room that `add` made; raises CodiError (bad-model)."""
    layers = _layers(unet)
    for name, (a, b, _) in _changes(layers, file, "unet").items():
        change = _change(layers[name])
        if change.A.shape != a.shape:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{file}: {name} has rank {len(a)}, not {len(change.A)}",
                "resume with the lora_rank that it was trained with",
            )
        change.A.copy_(a)
        change.B.copy_(b)


def added(unet: UNet2DConditionModel) -> bool:
    """Whether `add` made room for changes."""
    return any(isinstance(module, LowRank) for module in unet.modules())


def _change(layer: nn.Module) -> LowRank:
    change = layer.get_submodule("parametrizations.weight.0")
    assert isinstance(change, LowRank)
    return change


def _changes(layers: Layers, file: Path, owner: str) -> dict[str, tuple[Tensor, Tensor, float]]:
    """(A [rank, in], B [out, rank], alpha / rank) by layer."""
    parts: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for key, tensor in _read(file).items():
        prefix = next((prefix for prefix in OWNERS if key.startswith(prefix)), "")
        if OWNERS.get(prefix, "unet") != owner:
            continue
        match = KEY.fullmatch(key.removeprefix(prefix))
        name = _layer(match["layer"], layers) if match else None
        if match is None or name is None:
            unknown.append(key)
            continue
        part = {"down": "A", "up": "B"}.get(match["part"], match["part"]) or "alpha"
        parts.setdefault(name, {})[part] = tensor.float() if part == "alpha" else tensor.float().flatten(1)
    if unknown:
        more = f" and {len(unknown) - NAMED} more keys name" if len(unknown) > NAMED else " names"
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file}: {', '.join(map(repr, unknown[:NAMED]))}{more} no layer of the {owner}",
            "it was made for another backbone, or is no plain low-rank change (LoHa, LoKr and DoRA are not read)",
        )
    alpha = _alpha(file, owner)
    return {name: _fitted({**alpha, **part}, layers[name].weight, file, name) for name, part in parts.items()}


def _alpha(file: Path, owner: str) -> dict[str, Tensor]:
    """The alpha of all layers, where it is not among the tensors: diffusers writes it into the header, peft beside the
    file. Raises CodiError (bad-model) for settings under which a change is more than `alpha / rank B A`."""
    beside = file.with_name(PEFT_SETTINGS)
    with safe_open(file, "pt") as opened:
        stated = json.loads((opened.metadata() or {}).get("lora_adapter_metadata", "{}"))
    settings: dict[str, Any] = {key.removeprefix(f"{owner}."): value for key, value in stated.items()}
    if not settings and beside.is_file():
        settings = json.loads(beside.read_text())
    unread = [key for key in ("use_dora", "use_rslora", "alpha_pattern") if settings.get(key)]
    if unread:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file} was made with {', '.join(unread)}, which is not read",
            "merge it into the backbone's weights where it was made, and build that backbone",
        )
    return {"alpha": torch.tensor(float(settings["lora_alpha"]))} if "lora_alpha" in settings else {}


def _fitted(part: dict[str, Tensor], weight: Tensor, file: Path, name: str) -> tuple[Tensor, Tensor, float]:
    a, b = part.get("A"), part.get("B")
    if a is None or b is None or (len(b), *a.shape[1:]) != (len(weight), weight[0].numel()) or b.shape[1] != len(a):
        shapes = {side: tuple(tensor.shape) for side, tensor in part.items()}
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file}: {name} has {shapes} for a weight of {tuple(weight.shape)}",
            "it was made for another backbone, or saved in part",
        )
    return a, b, float(part["alpha"]) / len(a) if "alpha" in part else 1.0


def _layer(said: str, layers: Layers) -> str | None:
    """The layer that a key means: with dots or, as kohya writes, underscores; diffusers once named the processor of an
    attention in between, and transformers 5 dropped a level of CLIP."""
    flat = {name.replace(".", "_"): name for name in layers}
    plain = said.replace(".processor.", ".").replace(".", "_")
    tried = (plain, f"{plain}_0", plain.removeprefix("text_model_"))
    return next((flat[name] for name in tried if name in flat), None)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except FileNotFoundError as error:
        raise CodiError(ErrorCode.BAD_MODEL, f"there is no file {file}") from error
    except (OSError, SafetensorError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file} is no safetensors file: {error}",
            "pickled files (.pt, .bin) are not read: save it as safetensors",
        ) from error


def _layers(net: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: layer for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
