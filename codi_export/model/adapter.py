"""CoDi adapters: a diffusers `ControlNetModel` and, in `codi_adapter.json` beside it, the facts of its training."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import ControlNetModel, T2IAdapter, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from codi_export import registry
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS, LORA, UNET, WEIGHTS, read_facts
from codi_export.model import lora
from codi_export.model.backbone import Backbone
from codi_export.model.parts import Weights, load_part, require_finite, require_weights
from codi_export.model.steering import Net
from codi_export.model.trunk import deepen
from codi_export.records import to_json
from codi_export.spec import AdapterSpec


@dataclass(frozen=True, slots=True)
class Adapter:
    """`facts` is None for an adapter that was trained elsewhere and says nothing about itself."""

    folder: Path
    net: Net
    facts: AdapterSpec | None

    @property
    def own_unet(self) -> bool:
        """Whether it brings a U-Net, or changes to the backbone's."""
        return (self.folder / UNET).is_dir() or (self.folder / LORA).is_file()

    def unet(self, backbone: Backbone) -> UNet2DConditionModel:
        """The U-Net that the adapter was trained for: the backbone's, the same with low-rank changes, or its own."""
        if (self.folder / UNET).is_dir():
            return load_part(UNet2DConditionModel, self.folder / UNET)
        if (self.folder / LORA).is_file():
            return lora.merge(copy.deepcopy(backbone.unet).float(), self.folder / LORA)
        return backbone.unet


def load(folder: Path, weights: Weights = "float32") -> Adapter:
    """Load an adapter folder, in eval mode; raises CodiError (bad-model)."""
    facts = read_facts(folder)
    if facts and facts.trunk:
        return Adapter(folder, _load_with_trunk(folder, facts), facts)
    return Adapter(folder, load_part(_class(folder), folder, weights), facts)


def _class(folder: Path) -> type[Net]:
    """The diffusers class that an adapter folder names; a ControlNet if it names none."""
    kinds = {"ControlNetModel": ControlNetModel, "T2IAdapter": T2IAdapter}
    try:
        name = json.loads((folder / "config.json").read_text()).get("_class_name", "ControlNetModel")
    except (OSError, ValueError):
        name = "ControlNetModel"  # loading it says what is wrong
    if name not in kinds:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} is a {name}; expected one of {', '.join(kinds)}")
    kind: type[Net] = kinds[name]
    return kind


def _load_with_trunk(folder: Path, facts: AdapterSpec) -> ControlNetModel:
    require_weights(folder)
    try:
        net = deepen(ControlNetModel.from_config(ControlNetModel.load_config(folder)), facts.trunk, facts.reads)
        net.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        said = [line.strip() for line in str(error).splitlines()]  # torch lists all that misfits
        first = f"{said[1]} ({len(said) - 1} faults in all)" if len(said) > 2 else " ".join(said)
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} does not load as an adapter with a trunk: {first}") from error
    require_finite(net, folder)
    return net.float().eval().requires_grad_(False)


def require_fit(adapter: Adapter, backbone: Backbone, facts: AdapterSpec) -> None:
    """Raises CodiError (bad-model) that names the first thing in which an adapter and a backbone disagree."""
    wants = _t2i_fit if isinstance(adapter.net, T2IAdapter) else _controlnet_fit
    for what, has, needs in wants(adapter.net.config, backbone, facts):
        if has != needs:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{adapter.folder}: {what}: {has}; the backbone {backbone.folder} needs {needs}",
                "use an adapter that was made for it",
            )


Fit = Iterator[tuple[str, object, object]]  # what, as the adapter has it, as the backbone needs it


def _t2i_fit(net: Any, backbone: Backbone, facts: AdapterSpec) -> Fit:
    yield "condition", facts.condition, "pixels"
    yield "condition channels", net.in_channels, registry.get("tasks", facts.task).condition_channels
    yield "channels per level", tuple(net.channels), tuple(backbone.unet.config.block_out_channels)
    yield "condition pixels per latent pixel", net.downscale_factor, backbone.latent_factor


def _controlnet_fit(net: Any, backbone: Backbone, facts: AdapterSpec) -> Fit:
    factor, unet = backbone.latent_factor, backbone.unet.config
    pixels, seen = facts.condition == "pixels", registry.get("tasks", facts.task).condition_channels
    strides = 2 ** (len(net.conditioning_embedding_out_channels) - 1)
    yield "latent channels", net.in_channels, unet.in_channels
    yield "channels per level", tuple(net.block_out_channels), tuple(unet.block_out_channels)
    yield "layers per block", net.layers_per_block, unet.layers_per_block
    yield "prompt width", net.cross_attention_dim, unet.cross_attention_dim
    if net.addition_embed_type:
        inputs = "projection_class_embeddings_input_dim"
        yield "numbers read beside the prompt's words", getattr(net, inputs), getattr(unet, inputs)
    yield "condition channels", net.conditioning_channels, condition_channels(backbone, facts.condition, seen)
    yield "condition pixels per latent pixel", strides, factor if pixels else 1


def save(net: Net, facts: AdapterSpec, folder: Path) -> None:
    """Write an adapter folder with fp16 weights; without a trunk, diffusers loads it as its own class."""
    folder.mkdir(parents=True, exist_ok=True)
    net.save_config(folder)
    save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, folder / WEIGHTS)
    (folder / FACTS).write_text(json.dumps(to_json(facts), indent=2) + "\n")


def condition_channels(backbone: Backbone, condition: str, seen: int) -> int:
    """Channels that an adapter reads, of a condition with `seen` channels (`fuse.condition_image`)."""
    return seen if condition == "pixels" else seen * backbone.latent_factor**2 + backbone.latent_channels


def new(
    backbone: Backbone,
    condition: str,
    width: int,
    trunk: int = 0,
    attention: bool = True,
    seen: int = 3,
    reads: bool = False,
) -> ControlNetModel:
    """A zero-initialised adapter: the adapted model equals the backbone until it is trained (distill/README.md 2).

    `seen` counts the condition's channels; `width` is the condition embedding's. A condition at latent size needs no
    strides on its way in, and may have a `trunk` of that many residual blocks, which may read the prompt (`reads`).
    Without `attention` the rest is convolutions alone: it does not read the prompt, and is half as large.
    """
    channels = condition_channels(backbone, condition, seen)
    levels = 1 if condition == "unshuffled" else backbone.latent_factor.bit_length()
    if trunk and condition != "unshuffled":
        raise CodiError(
            ErrorCode.BAD_OPTION, f"a trunk of {trunk} blocks needs the condition 'unshuffled', not '{condition}'"
        )
    widths = tuple(width >> level for level in reversed(range(levels)))
    net = ControlNetModel.from_unet(
        backbone.unet, conditioning_channels=channels, conditioning_embedding_out_channels=widths
    )
    net = net if attention else _without_attention(net)
    return deepen(net, trunk, reads) if trunk else net


def _without_attention(net: ControlNetModel) -> ControlNetModel:
    kinds = ("DownBlock2D",) * len(net.config.block_out_channels)
    plain = ControlNetModel.from_config({**net.config, "down_block_types": kinds, "mid_block_type": "UNetMidBlock2D"})
    copied = plain.load_state_dict(net.state_dict(), strict=False)
    assert not copied.missing_keys, copied.missing_keys
    return plain
