"""What TensorRT says while it builds: kept whole, and its first error in plain words."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

KERNEL = re.compile(r"Name: .*?, LayerType: (\w+)")  # a line of the builder's own list of fused layers
SYNCHRONISATION = {"signal", "wait"}  # between streams: lines of that list, but no kernels

# What TensorRT writes -> what it means, and what to do.
PLAIN = (
    (
        re.compile(r"CUDA_SUCCESS|no CUDA-capable device|CUDA initialization failure|cudaGetDevice"),
        "this needs a GPU, and there is none here",
        "build it on the device: codi-export finalize",
    ),
    (
        re.compile(r"insufficient workspace|[Tt]ry increasing the workspace|workspace size"),
        "the builder's workspace is too small for a kernel",
        "give it more: codi-export finalize --workspace",
    ),
    (
        re.compile(r"[Oo]ut ?[Oo]f ?[Mm]emory|cudaMalloc|bad_alloc"),
        "the memory of this machine does not suffice to build it",
        "codi-export plan says what would; close other programs, or add swap",
    ),
    (
        re.compile(r"[Cc]ould not find any implementation for node|not supported by a dedicated kernel"),
        "this GPU has no kernel for a node",
        "try --precision fp32, or another version of the runtime",
    ),
)


def logger(trt: Any, lines: list[tuple[int, str]]) -> Any:
    """A logger that appends (severity, text) to `lines`; severities fall as they get worse, error is 1."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            lines.append((int(severity), text))

    return Logger()


def text(lines: list[tuple[int, str]]) -> str:
    """The log as a file: everything, worst marked."""
    marks = {0: "FATAL", 1: "ERROR", 2: "WARNING"}
    return "\n".join(f"{marks.get(severity, '')} {line}".lstrip() for severity, line in lines) + "\n"


def first_error(lines: list[tuple[int, str]]) -> str:
    """The first line of an error, or nothing."""
    return next((line.strip() for severity, line in lines if severity <= 1), "")


def warnings(lines: list[tuple[int, str]]) -> tuple[str, ...]:
    """Each warning once."""
    return tuple(dict.fromkeys(line.strip() for severity, line in lines if severity == 2))


def plain(error: str, modules: Mapping[str, str]) -> tuple[str, str]:
    """What `error` means and what to do; with the node that it names, and the module that this came from."""
    node = next((name for name in modules if name in error), "")
    where = f" at {node}, from {modules[node] or 'no module'}" if node else ""
    for pattern, meaning, todo in PLAIN:
        if pattern.search(error):
            return f"{meaning}{where} ({error})", todo
    return f"{error or 'it gave no reason'}{where}", "its log says more"


def kernels(lines: list[tuple[int, str]]) -> dict[str, int]:
    """Kernels by kind, of the last list that the builder printed."""
    lists = [line for _, line in lines if "LayerType: " in line]
    counted = Counter(KERNEL.findall(lists[-1])) if lists else {}
    return {kind: number for kind, number in sorted(counted.items()) if kind not in SYNCHRONISATION}
