"""A toy data pack in the layout of the real one, and a toy backbone to train adapters on."""

import io
import json
import tarfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from tests import tiny


def picture(seed: int, height: int = 200, width: int = 190) -> Image.Image:
    """Smooth colours: something that a network can learn in a few steps."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(seed: int, kind: str, height: int = 24, width: int = 20) -> bytes:
    """`picture` as a file."""
    buffer = io.BytesIO()
    picture(seed, height, width).save(buffer, kind)
    return buffer.getvalue()


def write_shard(shard: Path, files: dict[str, bytes], mode: Literal["w", "w:gz"] = "w") -> Path:
    """A tar with these files, in this order."""
    with tarfile.open(shard, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return shard


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/train`, ten photos with captions and one broken file; `scenes/train-0000.tar`, six scenes; and
    `photos/eval`, two photos for judging."""
    root = tmp_path_factory.mktemp("pack")
    photos = root / "photos" / "train"
    photos.mkdir(parents=True)
    for seed in range(10):
        picture(seed).save(photos / f"{seed}.png")
    (photos / "broken.jpg").write_bytes(b"not a picture")
    rows = [{"file": f"{seed}.png", "caption": f"a photo of thing {seed}"} for seed in range(10)]
    (photos / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    kept = root / "photos" / "eval"
    kept.mkdir()
    for seed in range(2):
        picture(50 + seed, 180, 200).save(kept / f"{seed}.png")
    (root / "scenes").mkdir()
    scenes = {}
    for seed in range(6):
        scenes[f"{seed:04d}.image.webp"] = encoded(100 + seed, "WEBP", 128, 128)
        scenes[f"{seed:04d}.json"] = json.dumps({"caption": f"a scene {seed}"}).encode()
    write_shard(root / "scenes" / "train-0000.tar", scenes)
    return root


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`scenes/train-0000.tar`, five scenes with a depth map, an edit and an instruction."""
    root = tmp_path_factory.mktemp("scenes")
    (root / "scenes").mkdir()
    files = {}
    for seed in range(5):
        for offset, name in enumerate(("image.webp", "depth.png", "edited.webp")):
            files[f"{seed:04d}.{name}"] = encoded(10 * seed + offset, name.split(".")[1], 128, 128)
        texts = {"caption": f"a scene {seed}", "instruction": "a photo of the sea"}
        files[f"{seed:04d}.json"] = json.dumps(texts).encode()
    write_shard(root / "scenes" / "train-0000.tar", files)
    return root


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("backbone"), "v_prediction", "tiny", zero_snr=True)
