"""A toy data pack in the layout of the real one, and a toy backbone to train adapters on."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import tiny


def picture(seed: int, height: int = 200, width: int = 190) -> Image.Image:
    """Smooth colours: something that a network can learn in a few steps."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/train`, ten photos with captions and one broken file, and `scenes/train-0000.tar`, six scenes."""
    root = tmp_path_factory.mktemp("pack")
    photos = root / "photos" / "train"
    photos.mkdir(parents=True)
    for seed in range(10):
        picture(seed).save(photos / f"{seed}.png")
    (photos / "broken.jpg").write_bytes(b"not a picture")
    rows = [{"file": f"{seed}.png", "caption": f"a photo of thing {seed}"} for seed in range(10)]
    (photos / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (root / "scenes").mkdir()
    with tarfile.open(root / "scenes" / "train-0000.tar", "w") as shard:
        for seed in range(6):
            buffer = io.BytesIO()
            picture(100 + seed, 128, 128).save(buffer, "WEBP")
            _add(shard, f"{seed:04d}.image.webp", buffer.getvalue())
            _add(shard, f"{seed:04d}.json", json.dumps({"caption": f"a scene {seed}"}).encode())
    return root


@pytest.fixture(scope="session")
def toy_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("backbone"), "v_prediction", "tiny", zero_snr=True)


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))
