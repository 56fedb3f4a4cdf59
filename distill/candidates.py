"""What `evaluate` judges, made of bundles and VAE folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import codi_export
from codi_export.bundle import read_manifest
from codi_export.errors import CodiError, ErrorCode
from codi_export.model import backbone as bb
from codi_export.model import parts

from . import config, run
from .config import DataConfig
from .data.pictures import Pixels, Reading
from .data.tensors import to_pixels, to_signed
from .evaluate import TILE, Candidate


def of_bundles(bundles: Sequence[Path], seed: int, threads: int | None = None) -> tuple[str, int, list[Candidate]]:
    """(task, side of the output in pixels, every graph of all bundles); super-resolution if there are none.

    Raises CodiError (bad-option) for bundles of several tasks or sizes.
    """
    sessions = [
        (
            bundle.name if len(graphs) == 1 else graph.name,
            codi_export.load(bundle, graph.task, graph.steps, threads=threads),
        )
        for bundle in bundles
        for graphs in [read_manifest(bundle).graphs]
        for graph in graphs
    ]
    found = sorted({(session.graph.task, int(session.graph.outputs[0].shape[1])) for _, session in sessions})
    if len(found) > 1:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"the bundles do different things: {', '.join(f'{task} at {side} pixels' for task, side in found)}",
            "one table compares one task at one size",
        )
    task, side = found[0] if found else ("sr", TILE)
    return task, side, [_of_session(name, session, seed) for name, session in sessions]


def _of_session(name: str, session: "codi_export.Session", seed: int) -> Candidate:
    """A graph as a function from condition, and caption where it reads one, to photo."""
    inputs = {spec.name for spec in session.graph.inputs}

    def make(seen: Pixels, caption: str | None = None) -> Pixels:
        mask = seen[..., 3] if "mask" in inputs else None
        return session(np.ascontiguousarray(seen[..., :3]), seed, mask=mask, prompt=caption)

    reads: Any = "input and caption" if "prompt_embeds" in inputs else "input"
    return Candidate(f"{name} {session.graph.sampler}", session.graph.steps, make, reads)


def round_trip(folder: Path) -> Candidate:
    """Through a VAE and back: the ceiling of every bundle on it."""
    vae = parts.load_part(parts.vae_class(folder), folder)

    @torch.no_grad()
    def make(pixels: Pixels) -> Pixels:
        return to_pixels(bb.decode(vae, bb.encode(vae, to_signed(pixels[None])))[0])

    return Candidate("VAE round trip", None, make, "original")


def reading(task: str) -> Reading:
    """The parts of a sample that a task's conditions are made of, as its own config names them."""
    data = config.record(DataConfig, run.default_tables(task).get("data", {}))
    return Reading(image=data.image, condition=data.condition, caption=data.caption)
