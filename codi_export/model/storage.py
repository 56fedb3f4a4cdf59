"""How weights lie in a bundle: as float16. What a graph is compared with computes with what is stored."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode


def is_exact(module: nn.Module) -> bool:
    """Whether storing the weights changes none of them, as when they come from a float16 file."""
    return all(torch.equal(tensor, tensor.half().float()) for _, tensor in _weights(module))


@torch.no_grad()
def round_to_stored(module: nn.Module) -> None:
    """Make every weight, float32, what it will be once it was stored. Raises CodiError (bad-model) for one that float16
    cannot hold, with its name."""
    for name, tensor in _weights(module):
        stored = tensor.half()
        if not stored.isfinite().all():
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"weight '{name}' holds {tensor.abs().max():.3g}, too much for float16 (65504), or no number at all",
                "the file may be damaged: such weights make no picture in half precision anywhere",
            )
        tensor.copy_(stored)


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, tensor) for name, tensor in module.state_dict().items() if tensor.is_floating_point())
