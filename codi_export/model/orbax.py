"""Arrays that orbax keeps outside its msgpack file: one zarr folder each, or all of them in one OCDBT database."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLACEHOLDER = "PLACEHOLDER://"
DTYPES = ("float32", "float16", "bfloat16")


def read(folder: Path, name: str) -> NDArray[np.float32]:
    """One array, `name` dotted, as float32; raises ValueError where it is absent, cut short or of another type."""
    import tensorstore  # 60 MB that most checkpoints do not need

    spec = {"driver": "zarr", "kvstore": _store(folder, name), "fill_missing_data_reads": False}
    try:
        store = tensorstore.open(spec, open=True, read=True).result()
        if store.dtype.name not in DTYPES:
            raise ValueError(f"an array of {store.dtype.name}, expected {', '.join(DTYPES)}")
        return np.asarray(store.read().result()).astype(np.float32)
    except (ValueError, OSError, RuntimeError) as error:
        raise ValueError(f"{name}: {str(error).partition(' [')[0]}") from error


def _store(folder: Path, name: str) -> dict[str, Any]:
    if (folder / "manifest.ocdbt").is_file():
        base = {"driver": "file", "path": f"{folder.resolve()}/"}
        return {"driver": "ocdbt", "base": base, "path": f"{name}/"}
    return {"driver": "file", "path": f"{folder.resolve() / name}/"}
