"""Libraries of custom operators, as TensorRT-RTX's own registry takes them."""

from pathlib import Path

import onnxruntime
import pytest

from codi_export import registry
from codi_export.errors import CodiError, ErrorCode

RTX = registry.get("backends", "tensorrt-rtx").compiler


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"no plugin library at .*libmine\.so") as caught:
        RTX.load_plugin(tmp_path / "libmine.so")
    assert caught.value.code is ErrorCode.MISSING_FILE


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "libmine.so").write_bytes(b"not a library")
    with pytest.raises(CodiError, match=r"cannot load plugins from .*libmine\.so: .") as caught:
        RTX.load_plugin(tmp_path / "libmine.so")
    assert caught.value.code is ErrorCode.BACKEND


def test_a_library_without_plugins(tmp_path: Path) -> None:
    library = next(Path(onnxruntime.__file__).parent.rglob("libonnxruntime_providers_shared.so"))
    with pytest.raises(CodiError, match="cannot load plugins") as caught:
        RTX.load_plugin(library)
    assert "getCreators" in caught.value.hint
