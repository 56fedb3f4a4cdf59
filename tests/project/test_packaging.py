"""The wheel holds the two packages and their data, and nothing else."""

import configparser
import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

import codi_export

IMPORT = re.compile(r"^\s*(?:import|from) ([a-zA-Z_]\w*)", re.MULTILINE)
IMPORT_NAMES = {
    "jetson-stats": "jtop",
    "nvidia-ml-py": "pynvml",
    "pillow": "PIL",
    "onnxruntime-gpu": "onnxruntime",
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "tensorrt-rtx-cu13": "tensorrt_rtx",
    "cuda-bindings": "cuda",
}


@pytest.fixture(scope="module")
def contents(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist()]


def test_top_level_entries(contents: list[PurePosixPath]) -> None:
    info = f"codi_export-{codi_export.__version__}.dist-info"
    assert {path.parts[0] for path in contents} == {"codi_export", "distill", info}


def test_every_module_and_every_zoo_file_is_in(contents: list[PurePosixPath], tracked: list[Path]) -> None:
    ours = [path for path in tracked if path.parts[0] in ("codi_export", "distill")]
    installed = [
        path for path in ours if path.suffix != ".md" or "zoo" in path.parts
    ]  # model cards travel with weights
    assert sorted({PurePosixPath(path) for path in installed} - set(contents)) == []


def test_kernels_travel_as_data(contents: list[PurePosixPath], tracked: list[Path]) -> None:
    ours = {PurePosixPath("codi_export", path) for path in tracked if path.parts[0] == "kernels"}
    assert ours == {path for path in contents if path.parts[:2] == ("codi_export", "kernels")}


def test_metadata(wheel: Path, contents: list[PurePosixPath]) -> None:
    names = {path.name: path for path in contents if path.parts[0].endswith(".dist-info")}
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(str(names["METADATA"])).decode())
    assert metadata["Name"] == "codi-export"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert "LICENSE" in names


def test_every_third_party_import_is_declared(root: Path, tracked: list[Path]) -> None:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    packages = {
        re.split(r"[\[<>=;]", line)[0].strip() for text in lists for line in text.splitlines() if line[:1] != "#"
    }
    declared = {IMPORT_NAMES.get(package, package.replace("-", "_")) for package in packages}
    ours = {"codi_export", "distill"}
    for path in tracked:
        if path.suffix == ".py" and path.parts[0] in ours:
            used = set(IMPORT.findall((root / path).read_text())) - ours - set(sys.stdlib_module_names)
            assert used <= declared, f"{path} imports {used - declared}, which setup.cfg does not name"


def test_constraints_cover_what_is_installed_by_default(root: Path) -> None:
    """Each requirement of the extras that `make` installs has a pin, so a new release cannot break a checkout."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    extras = config["options.extras_require"]
    lists = [
        config["options"]["install_requires"],
        *(extras[name] for name in ("export", "distill", "flax", "metrics", "plots", "tensorrt-rtx", "dev")),
    ]
    wanted = {re.split(r"[<>=]", line)[0] for text in lists for line in text.split() if "[" not in line}
    pinned = {line.split("==")[0] for line in (root / "constraints.txt").read_text().splitlines() if "==" in line[:40]}
    assert wanted - pinned == set()
