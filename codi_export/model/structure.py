"""What a module's graph depends on: everything about it but the values of its weights."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


def fields(module: nn.Module) -> dict[str, str]:
    """By path: each submodule's class and settings, its weights' shapes, and the content of the constants that it does
    not save. Two modules with equal fields and inputs are traced alike."""
    found: dict[str, str] = {}
    for path, part in module.named_modules():
        found[path] = f"{type(part).__module__}.{type(part).__qualname__}"
        found |= {f"{path}.{name}".lstrip("."): said for name, said in _settings(part)}
    return found


def _settings(part: nn.Module) -> Iterator[tuple[str, str]]:
    config = getattr(part, "config", {})  # diffusers'; what begins with _ is where it lies, and who wrote it
    for name, value in {**vars(part), **(config if isinstance(config, dict) else {})}.items():
        if not name.startswith("_"):
            yield name, _said(value)
    saved = part.state_dict(keep_vars=True)
    for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
        yield name, _size(tensor) if name in saved else _said(tensor)


def _size(tensor: Tensor) -> str:
    return f"{tensor.dtype} {[*tensor.shape]}".removeprefix("torch.")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return str({str(key): _said(one) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return str([_said(one) for one in value])
    if isinstance(value, set | frozenset):
        return str(sorted(_said(one) for one in value))
    if isinstance(value, Tensor):
        digest = hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
        return f"{_size(value)} {digest[:16]}"
    if isinstance(value, functools.partial):
        return _said([value.func, value.args, value.keywords])
    if value is None or isinstance(value, bool | int | float | str) or dataclasses.is_dataclass(value):
        return repr(value)
    return f"{type(value).__qualname__} {getattr(value, '__qualname__', '')}".rstrip()
