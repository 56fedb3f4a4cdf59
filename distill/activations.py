"""Gradient checkpointing (arXiv 1604.06174): less memory for more time."""

from collections.abc import Sequence
from typing import Any, cast

from torch import nn

from codi_export.errors import CodiError, ErrorCode


def recompute(path: Sequence[nn.Module]) -> None:
    """Have every diffusers module on the gradient's path compute its activations again on the way back.

    diffusers does so wherever gradients are wanted, in eval mode too, so a frozen U-Net is covered and no pass without
    gradient is slowed. Raises CodiError (bad-option) if nothing on the path can.
    """
    able = [
        part for root in path for part in root.modules() if getattr(part, "_supports_gradient_checkpointing", False)
    ]
    if not able:
        names = ", ".join(type(root).__name__ for root in path)
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"gradient_checkpointing: expected a diffusers module that supports it, found none in {names}",
            "leave gradient_checkpointing out for this job",
        )
    for part in able:
        cast(Any, part).enable_gradient_checkpointing()
