"""What a folder's config files may ask for. What a graph of ours cannot express is refused by name, never left out."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codi_export.errors import CodiError, ErrorCode

Options = Mapping[str, tuple[Any, ...]]  # option -> the values that are expressed; what is absent counts as None

INPUTS: Options = {  # a U-Net or a ControlNet that is given more than (z, t, prompt)
    "addition_embed_type": (None, "text_time"),
    "class_embed_type": (None,),
    "num_class_embeds": (None, 0),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "time_cond_proj_dim": (None,),
}
EXPRESSED: Mapping[str, Options] = {
    "UNet2DConditionModel": {**INPUTS, "attention_type": (None, "default")},
    "ControlNetModel": {
        **INPUTS,
        "controlnet_conditioning_channel_order": (None, "rgb"),
        "global_pool_conditions": (None, False),
    },
    "AutoencoderKL": {"latents_mean": (None,), "latents_std": (None,)},
    "DDPMScheduler": {  # stands for every scheduler with a table of betas; the timesteps and the update are ours
        "beta_schedule": (None, "linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"),
        "prediction_type": (None, "epsilon", "v_prediction", "sample"),
        "snr_shift_scale": (None, 1.0),
        "thresholding": (None, False),
        "use_flow_sigmas": (None, False),
    },
}
DERIVED = {"block_out_channels"}  # diffusers writes it for AutoencoderTiny, and does not read it


def require_expressible(kind: str, config: Mapping[str, Any], place: Path) -> None:
    """Raises CodiError (bad-model) that names every option of a config of diffusers' class `kind` that the graph would
    not have."""
    asked = {option: config.get(option) for option in EXPRESSED.get(kind, {})}
    wrong = [
        f"{option}={value!r} (expected {' or '.join(map(repr, EXPRESSED[kind][option][1:] or (None,)))})"
        for option, value in asked.items()
        if value not in EXPRESSED[kind][option]
    ]
    if wrong:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{place}: a graph cannot express {', '.join(wrong)}",
            "leaving it out would give another model; use one without it",
        )


def require_known(kind: Any, config: Mapping[str, Any], place: Path) -> None:
    """Raises CodiError (bad-model) for a config of another class than `kind`, and for settings that `kind` would
    ignore. One that is off asks for nothing."""
    name = config.get("_class_name", kind.__name__)
    if name != kind.__name__:
        raise CodiError(ErrorCode.BAD_MODEL, f"{place} is a {name}; expected a {kind.__name__}")
    read = {*inspect.signature(kind.__init__).parameters, *DERIVED}
    ignored = [f"{key}={value!r}" for key, value in config.items() if key not in read and key[0] != "_" and value]
    if ignored:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{place}: {kind.__name__} does not know {', '.join(ignored)}",
            "it may be another model's config, or a newer diffusers' (pip install -U diffusers)",
        )
