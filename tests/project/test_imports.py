"""The base install runs bundles: no torch, no ONNX tools, in an environment that has never seen them."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests import fake_bundle

OPS = tuple(f"codi_export.ops.{name}" for name in ("arguments", "attention", "functions", "geglu", "group_norm_silu",
                                                   "image_io", "noise", "sampler_step"))  # fmt: skip
# Everything else works without extras.
NEEDS_EXPORT = (
    "codi_export.builder",
    "codi_export.narrowing",
    "codi_export.trials",
    "codi_export.components",
    "codi_export.recipe",
    "codi_export.model",
    "codi_export.graph",
    *OPS,
)
HEAVY = ("torch", "diffusers", "transformers", "accelerate", "onnx", "onnx_ir", "onnxscript")


def modules(tracked: list[Path]) -> list[str]:
    sources = [path.with_suffix("") for path in tracked if path.suffix == ".py" and path.parts[0] == "codi_export"]
    names = [".".join(path.parts).removesuffix(".__init__") for path in sources]
    return [name for name in names if not name.startswith(NEEDS_EXPORT)]


def call(command: list[str | Path], folder: Path) -> str:
    """What `command` prints. In a folder away from the checkout, only what is installed can be imported."""
    result = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def bare(wheel: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bin` of a new environment with the base install and nothing more."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check"]
    call([*pip, "install", "--quiet", "--no-compile", "-c", root / "constraints.txt", wheel], folder)
    return folder / "bin"


def test_base_install_brings_nothing_heavy(bare: Path, tmp_path: Path) -> None:
    code = f"import importlib.util as u; print([n for n in {HEAVY} if u.find_spec(n)])"
    assert call([bare / "python", "-c", code], tmp_path) == "[]\n"


def test_modules_import_without_extras(bare: Path, tracked: list[Path], tmp_path: Path) -> None:
    code = f"import importlib\nfor name in {modules(tracked)}: importlib.import_module(name)"
    call([bare / "python", "-c", code], tmp_path)


def test_help_without_extras(bare: Path, tmp_path: Path) -> None:
    assert "build" in call([bare / "codi-export", "--help"], tmp_path)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a bundle `sr-2step` and a picture `photo.png`."""
    folder = tmp_path_factory.mktemp("work")
    fake_bundle.write(folder / "sr-2step")
    Image.linear_gradient("L").convert("RGB").resize((40, 24)).save(folder / "photo.png")
    return folder


def test_run_without_extras(bare: Path, bundle: Path) -> None:
    call([bare / "codi-export", "run", "sr-2step", "photo.png", "-o", "out.png"], bundle)
    with Image.open(bundle / "out.png") as picture:
        assert picture.size == (160, 96)


def test_profile_without_extras(bare: Path, bundle: Path) -> None:
    few = ["--iterations", "2", "--runs", "1", "--html", "page.html", "--json"]
    assert json.loads(call([bare / "codi-export", "profile", "sr-2step", *few], bundle))["end_to_end_ms"]["n"] == 2
    assert "<style>" in (bundle / "page.html").read_text()


@pytest.mark.parametrize("verb", ["inspect", "verify"])
def test_inspect_and_verify_without_extras(verb: str, bare: Path, bundle: Path) -> None:
    assert json.loads(call([bare / "codi-export", verb, "sr-2step", "--json"], bundle))


def test_load_without_extras(bare: Path, bundle: Path) -> None:
    image = "numpy.zeros((16, 16, 3), 'uint8')"
    code = f"import codi_export, numpy; print(codi_export.load('sr-2step')(image={image}, seed=0).shape)"
    assert call([bare / "python", "-c", code], bundle) == "(64, 64, 3)\n"


@pytest.mark.parametrize("module", ["codi_export", "codi_export.cli.main", "codi_export.runtime.session"])
def test_starting_does_not_load_torch(module: str, root: Path) -> None:
    """Where the extras are installed, starting a command still does not wait for them."""
    code = f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])"
    assert call([sys.executable, "-c", code], root) == "[]\n"
