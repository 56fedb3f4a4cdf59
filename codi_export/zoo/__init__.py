"""What ships with the package: models in diffusers layout, their adapters, and the photo that builds are tried on."""

from pathlib import Path

from codi_export.errors import CodiError, ErrorCode

ROOT = Path(__file__).parent
PHOTO = ROOT / "photo.webp"


def names() -> list[str]:
    """All embedded models."""
    return sorted(file.parent.name for file in ROOT.glob("*/model_index.json"))


def tasks(model: str) -> list[str]:
    """The tasks that an embedded model has adapters for."""
    return sorted(file.parent.name for file in (folder(model) / "adapters").glob("*/config.json"))


def folder(model: str) -> Path:
    """`model` itself if it is a folder, else the embedded one; raises CodiError (unknown-name) that lists these."""
    if Path(model).is_dir():
        return Path(model)
    if model not in names():
        raise CodiError(
            ErrorCode.UNKNOWN_NAME,
            f"unknown model '{model}': neither a folder nor embedded; embedded: {', '.join(names()) or 'none'}",
            "--model takes a folder in diffusers layout too",
        )
    return ROOT / model


def adapter(model: str, task: str) -> Path:
    """The folder of an embedded model's adapter for a task; raises CodiError (unknown-name) that lists them."""
    if task not in tasks(model):
        raise CodiError(
            ErrorCode.UNKNOWN_NAME,
            f"'{model}' has no adapter for task '{task}'; it has: {', '.join(tasks(model)) or 'none'}",
            "give one with --adapter DIR; `codi-export distill` trains it",
        )
    return folder(model) / "adapters" / task
