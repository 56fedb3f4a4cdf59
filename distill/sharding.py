"""Fully sharded data parallel (arXiv 2304.11277): parameters, gradients and optimiser state split over the processes.

torch's own `fully_shard`, not accelerate's plugin: that one is passed over in silence where there is no GPU, so nothing
of it could be tested there. Without sharding every function here gives back what it was given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from codi_export.errors import CodiError, ErrorCode

M = TypeVar("M", bound=nn.Module)


def shard(module: M, device: torch.device) -> M:
    """Split `module` in place, by the first dimension of each parameter. A block of a U-Net or ControlNet is whole only
    while it runs; what is in no block, while the module runs.

    Raises CodiError (bad-option) if this is the only process.
    """
    if not distributed.is_initialized():
        raise CodiError(
            ErrorCode.BAD_OPTION,
            "sharding = 'fsdp' splits the model over several processes; this is the only one",
            "start it with `accelerate launch` (distill/README.md 9), or set sharding to none",
        )
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    module.to(device)
    for block in _blocks(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def gather(value: Tensor) -> Tensor:
    """The whole tensor; every process must ask."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def share(value: Tensor, like: Tensor) -> Tensor:
    """This process's share of a whole tensor, split as `like` is."""
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Inside, the parameters are whole; every process must enter."""
    units = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for unit in units:
        unit.unshard()
    try:
        yield
    finally:
        for unit in units:
            unit.reshard()


def whole(state: Any, keep: bool) -> Any:
    """A state dict with its split tensors whole and on the CPU; every process must ask, and those that do not `keep`
    them get empty ones, so that a machine holds the state once."""
    match state:
        case DTensor():
            full = state.full_tensor()
            return full.cpu() if keep else full.new_empty(0)
        case dict():
            return {name: whole(value, keep) for name, value in state.items()}
        case list():
            return [whole(value, keep) for value in state]
    return state


def load(module: nn.Module, optimizer: torch.optim.Optimizer, weights: dict[str, Tensor], moments: Any) -> None:
    """Take back what `whole` made of their state dicts, from the same number of processes or another."""
    split = module.state_dict()
    module.load_state_dict({name: share(value, split[name]) for name, value in weights.items()})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        index: {name: share(v, parameters[index]) if v.dim() else v for name, v in kept.items()}
        for index, kept in moments["state"].items()
    }
    optimizer.load_state_dict({**moments, "state": state})


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for part in module.modules():
        for name in ("down_blocks", "up_blocks"):
            yield from getattr(part, name, ())
        if isinstance(middle := getattr(part, "mid_block", None), nn.Module):
            yield middle
