"""A folder is a registry."""

import subprocess
import sys

import pytest

from codi_export import registry
from codi_export.errors import CodiError, ErrorCode


@pytest.mark.parametrize(("kind", "some"), [("tasks", "sr"), ("samplers", "prev"), ("backends", "onnxruntime")])
def test_names_are_files(kind: str, some: str) -> None:
    names = registry.names(kind)
    assert some in names
    assert names == sorted(names)
    assert "--init--" not in names


def test_an_entry_knows_its_name() -> None:
    for name in registry.names("tasks"):
        assert registry.get("tasks", name).name == name


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(CodiError, match=r"unknown task 'srr'; available: canny, depth.*, sr") as caught:
        registry.get("tasks", "srr")
    assert caught.value.code is ErrorCode.UNKNOWN_NAME


def test_listing_imports_no_entry() -> None:
    code = "import sys; from codi_export import registry; registry.names('samplers'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "codi_export.samplers" not in done.stdout
