"""Custom operators from a library that the user names. A bundle is data, and is never searched for code."""

from pathlib import Path
from typing import Any

from codi_export.backends.nvidia import log
from codi_export.errors import CodiError, ErrorCode


def load_plugin(trt: Any, library: Path) -> None:
    """Register what `library` creates, for every engine of this process. Raises CodiError (missing-file, backend)."""
    if not library.is_file():
        raise CodiError(ErrorCode.MISSING_FILE, f"no plugin library at {library}", "--plugin takes a shared library")
    lines: list[tuple[int, str]] = []
    logger = log.logger(trt, lines)
    trt.init_libnvinfer_plugins(logger, "")  # the runtime's own come first, so that theirs are not hidden
    try:
        handle = trt.get_plugin_registry().load_library(str(library.resolve()))
    except RuntimeError as error:
        raise _failed(trt, library, str(error)) from error
    if handle is None:
        raise _failed(trt, library, log.first_error(lines))


def _failed(trt: Any, library: Path, reason: str) -> CodiError:
    return CodiError(
        ErrorCode.BACKEND,
        f"{trt.__name__} {trt.__version__} cannot load plugins from {library}: {reason or 'it gave no reason'}",
        "it has to be built against this version, and to export getCreators or getPluginCreators",
    )
