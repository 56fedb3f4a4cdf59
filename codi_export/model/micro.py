"""What SDXL's U-Nets and ControlNets read besides words: the whole prompt in one vector, and the picture's sizes."""

from typing import TypeAlias

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode

Added: TypeAlias = dict[str, Tensor]  # diffusers' `added_cond_kwargs`


class Micro(nn.Module):
    """Six sizes [6], constants of a build: "micro-conditioning" (arXiv 2307.01952, section 2.2)."""

    sizes: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        # Originally so large, cropped at its corner, and to be so large: what a pipeline assumes unless it is told.
        self.register_buffer("sizes", torch.tensor([height, width, 0, 0, height, width]).float(), persistent=False)

    def forward(self, pooled: Tensor) -> Added:
        """With each row's prompt as a whole, pooled [B, P]."""
        return {"text_embeds": pooled, "time_ids": self.sizes.expand(len(pooled), -1)}


def wanted(unet: UNet2DConditionModel) -> bool:
    """Whether a U-Net reads them."""
    return bool(unet.config.addition_embed_type == "text_time")


def require_fit(unet: UNet2DConditionModel, pooled: Tensor | None) -> None:
    """Raises CodiError (bad-model) where a U-Net and the folder's text encoders disagree on what it is given."""
    config = unet.config
    room = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim if wanted(unet) else 0
    width = pooled.shape[-1] if pooled is not None else 0
    if room != width:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"the U-Net reads {room} numbers of the whole prompt beside six sizes, the text encoders give {width}",
            "an SDXL refiner reads five sizes, which is not expressed; U-Net and text encoders must be of one model",
        )
