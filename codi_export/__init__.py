"""codi-export: backbone + adapter + sampler as one graph. `build` makes a bundle, `load` runs one.

Names are imported when they are first used, so that running a bundle never imports torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codi_export.builder import build
    from codi_export.errors import CodiError
    from codi_export.runtime.opening import load
    from codi_export.runtime.session import Session
    from codi_export.spec import BuildSpec, Manifest

__version__ = "0.1.0"
__all__ = ["BuildSpec", "CodiError", "Manifest", "Session", "build", "load"]

_HOMES = {
    "BuildSpec": "codi_export.spec",
    "CodiError": "codi_export.errors",
    "Manifest": "codi_export.spec",
    "Session": "codi_export.runtime.session",
    "build": "codi_export.builder",
    "load": "codi_export.runtime.opening",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'codi_export' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
