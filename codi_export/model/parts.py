"""One part of a diffusers folder: all of it there, as its config says, and made of numbers."""

import json
import logging
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
from safetensors import SafetensorError
from torch import nn

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.model import limits

STEMS = ("diffusion_pytorch_model", "model")  # diffusers' and transformers' names for a part's weights
VAE_CLASSES = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
NAMED = 3  # tensors in an error
Weights = Literal["float32", "stored"]  # as they are computed with, or as the file has them: mapped, not copied


def load_part(kind: Any, folder: Path, weights: Weights = "float32") -> Any:
    """One part of a diffusers folder, of diffusers' or transformers' class `kind`, from safetensors only.

    Raises CodiError (bad-model) that names what is missing, cut short, of another shape, or not a number.
    """
    config = read_config(folder)
    if hasattr(kind, "load_config"):  # diffusers'; transformers' settings are checked by `model.text`
        limits.require_known(kind, config, folder / "config.json")
        limits.require_expressible(kind.__name__, config, folder / "config.json")
    variant = require_weights(folder)
    for library in ("diffusers", "transformers"):  # what they would warn of is an error below
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        part, found = kind.from_pretrained(
            folder,
            use_safetensors=True,
            torch_dtype=torch.float16 if weights == "stored" and _is_half(folder, variant) else torch.float32,
            local_files_only=True,
            output_loading_info=True,
            variant=variant,
            **({} if hasattr(kind, "load_config") else {"ignore_mismatched_sizes": True}),  # told in `found` then
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        said = str(error).partition(" If you want to")[0]
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} does not load as {kind.__name__}: {said}") from error
    _require_whole(found, folder)
    require_finite(part, folder)
    return part.eval().requires_grad_(False)


def read_config(folder: Path) -> dict[str, Any]:
    """A part's config.json; raises CodiError (bad-model)."""
    if not (folder / "config.json").is_file():
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} has no config.json", "expected a folder in diffusers layout")
    try:
        config = json.loads((folder / "config.json").read_text())
        return {str(key): value for key, value in config.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL, f"{folder / 'config.json'} is not a config: {error}", "download it again"
        ) from error


def require_weights(folder: Path) -> str | None:
    """Every weight file of a part, whole; the variant that it is there in, `fp16` of `model.fp16.safetensors`, or None.

    Raises CodiError (bad-model).
    """
    for variant in (None, *_variants(folder)):
        files_ = _weight_files(folder, variant)
        for file in files_:
            _require_complete(file)
        if files_:
            return variant
    pickled = [file.name for file in folder.iterdir() if file.suffix in files.PICKLES]
    found = f"only {pickled[0]}, a pickle that could run code when it is read" if pickled else "no weights"
    raise CodiError(ErrorCode.BAD_MODEL, f"{folder} holds {found}", "save it with `safe_serialization=True`")


def require_finite(part: nn.Module, place: Path) -> None:
    """Raises CodiError (bad-model) that names tensors with NaN or infinity in them."""
    tensors = {name: tensor for name, tensor in part.state_dict().items() if tensor.is_floating_point()}
    bad = [name for name, tensor in tensors.items() if tensor.numel() and not _finite(tensor)]
    if bad:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{place}: NaN or infinity in {listed(bad)}",
            "the file is damaged, or it was saved from a run that diverged",
        )


def vae_class(folder: Path) -> Any:
    """The diffusers class that a VAE folder names; raises CodiError (bad-model)."""
    name = read_config(folder).get("_class_name")
    if name not in VAE_CLASSES:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder}: VAE class '{name}'; expected one of {', '.join(VAE_CLASSES)}")
    return getattr(diffusers, name)


def listed(names: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _weight_files(folder: Path, variant: str | None) -> list[Path]:
    """All of one variant, or none."""
    suffix = f".{variant}" if variant else ""
    for stem in STEMS:
        index = folder / f"{stem}.safetensors.index{suffix}.json"
        one = folder / f"{stem}{suffix}.safetensors"
        if index.is_file():
            return _shards(index)
        if one.is_file():
            return [one]
    return []


def _is_half(folder: Path, variant: str | None) -> bool:
    tensors = [entry for file in _weight_files(folder, variant) for entry in files.header(file)[1].values()]
    return all(entry["dtype"] in ("F16", "I64") for entry in tensors)


def _variants(folder: Path) -> list[str]:
    names = (file.name.removesuffix(".safetensors").split(".") for file in sorted(folder.glob("*.*.safetensors")))
    return list(dict.fromkeys(rest[0] for stem, *rest in names if stem.split("-")[0] in STEMS and len(rest) == 1))


def _shards(index: Path) -> list[Path]:
    """The files that an index names."""
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL, f"{index} is not an index of weights: {error}", "download it again"
        ) from error
    absent = [name for name in names if not files.inside(index.parent, name).is_file()]
    if absent:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{index.parent} lacks {len(absent)} of {len(names)} weight files: {listed(absent)}",
            "download it to the end",
        )
    return [index.parent / name for name in names]


def _require_complete(file: Path) -> None:
    """The header of a safetensors file says how long it is."""
    size = file.stat().st_size
    try:
        raw, tensors = files.header(file)
        wanted = len(raw) + max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        with file.open("rb") as opened:
            pointer = opened.read(30).startswith(b"version https://git-lfs")
        said, hint = ("a Git LFS pointer in place of the weights", "git lfs pull") if pointer else (
            f"no safetensors file, or the first {size} bytes of one", "download it again"
        )  # fmt: skip
        raise CodiError(ErrorCode.BAD_MODEL, f"{file} is {said}", hint) from error
    if size != wanted:
        raise CodiError(ErrorCode.BAD_MODEL, f"{file} has {size} bytes, its header says {wanted}", "download it again")


def _require_whole(found: Any, folder: Path) -> None:
    """`found` is what `from_pretrained` tells: a tensor that was not in the files would be random."""
    wrong = [f"{name} is {[*has]}, its config wants {[*wants]}" for name, has, wants in found["mismatched_keys"]]
    if wrong:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder}: {listed(sorted(wrong))}", "its config and weights disagree")
    for what, said in (("missing_keys", "lacks"), ("unexpected_keys", "has, and its config has no place for,")):
        names = sorted(name for name in found[what] if not name.endswith("position_ids"))
        if names:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{folder} {said} {listed(names)}",
                "its config and weights do not belong together, or it was saved in part",
            )


def _finite(tensor: torch.Tensor) -> bool:
    low, high = tensor.aminmax()  # both are NaN where one is; no copy is made
    return bool(low.isfinite() and high.isfinite())
