"""The tree keeps the shape that CONTRIBUTING.md describes."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
TREE_LIMIT = 54 * MIB  # a working copy travels to test machines whole
WEIGHTS_LIMIT = 44_000_000
ROOT_FOLDERS = {"codi_export", "distill", "kernels", "benchmarks", "tests", ".ci"}
ROOT_FILES = {
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "DECISIONS.md", "LICENSE",
    "setup.cfg", "pyproject.toml", "constraints.txt", "Makefile", ".gitignore", ".pre-commit-config.yaml",
}  # fmt: skip
VAGUE_NAME = re.compile(r"^_?(utils?|helpers?|misc|manager|handler|base_.*)$")
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|Users|work|farm|mnt|opt)/\w")


def test_root_holds_what_the_plan_names(tracked: list[Path]) -> None:
    assert {path.parts[0] for path in tracked if len(path.parts) > 1} <= ROOT_FOLDERS
    assert {path.name for path in tracked if len(path.parts) == 1} <= ROOT_FILES


def test_packages_are_those_of_the_tree(root: Path, tracked: list[Path]) -> None:
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    listed = config["options"]["packages"].split()
    tree = [".".join(path.parent.parts) for path in tracked if path.name == "__init__.py" and path.parts[0] != "tests"]
    assert listed == sorted([*tree, "codi_export.kernels"])  # the one package without Python: kernels/, as data


def test_every_folder_of_modules_is_a_package(tracked: list[Path]) -> None:
    modules = [path for path in tracked if path.suffix == ".py" and path.parts[0] in ("codi_export", "distill")]
    folders = {path.parent for path in modules if path.parent.name != "examples"}
    assert [str(folder) for folder in sorted(folders) if folder / "__init__.py" not in tracked] == []


def test_pyproject_has_two_tables(root: Path) -> None:
    tables = re.findall(r"^\[+([^\]]+)\]", (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert {".".join(table.split(".")[:2]) for table in tables} == {"build-system", "tool.ruff"}


def test_no_python_under_kernels(tracked: list[Path]) -> None:
    """`kernels` is Hugging Face's import name: a module of ours there would shadow theirs."""
    assert [path for path in tracked if path.parts[0] == "kernels" and path.suffix in (".py", ".pyi")] == []


def test_kernels_is_never_an_import_name(root: Path, tracked: list[Path]) -> None:
    imports = re.compile(r"^\s*(import|from) kernels\b", re.MULTILINE)
    sources = [path for path in tracked if path.suffix == ".py"]
    assert [path for path in sources if imports.search((root / path).read_text())] == []


def test_names_say_what_is_inside(tracked: list[Path]) -> None:
    parts = {(path, part) for path in tracked for part in (*path.parts[:-1], path.stem)}
    assert sorted(str(path) for path, part in parts if VAGUE_NAME.match(part)) == []


def test_no_machine_paths(root: Path, tracked: list[Path]) -> None:
    found = []
    for path in tracked:
        data = (root / path).read_bytes()
        if b"\0" not in data:
            lines = enumerate(data.decode("utf-8", "replace").splitlines(), start=1)
            found += [f"{path}:{n}: {line.strip()[:100]}" for n, line in lines if MACHINE_PATH.search(line)]
    assert found == []


def test_tree_and_weights_are_small(root: Path, tracked: list[Path]) -> None:
    sizes = {path: (root / path).stat().st_size for path in tracked}
    assert sum(sizes.values()) < TREE_LIMIT
    assert sum(size for path, size in sizes.items() if path.suffix == ".safetensors") <= WEIGHTS_LIMIT


def test_no_pickles(tracked: list[Path]) -> None:
    assert [path for path in tracked if path.suffix in (".pt", ".pth", ".ckpt", ".pkl", ".bin")] == []


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", "setup.cfg", "pyproject.toml", "constraints.txt"])
def test_no_package_index_is_named(root: Path, name: str) -> None:
    """Where packages come from is for the machine to say (CONTRIBUTING.md, `PIP_EXTRA_INDEX_URL`)."""
    assert "://" not in (root / name).read_text()


def test_import_contracts(root: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
