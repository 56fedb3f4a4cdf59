"""The same programs, watched by sanitizers and by valgrind; and fuzzers at what reads files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save

from tests.runtime.cpp.conftest import HERE, run

Build = Callable[..., Path]

COMMANDS = [("misuse", "0"), ("frames", "1"), ("reload", "3"), ("cancel", "2"), ("threads", "1"), ("threads", "8")]
THREADS = [("threads", "1"), ("threads", "8"), ("cancel", "2"), ("frames", "1")]
SECONDS = 8  # of each fuzzer here; `make soak` runs them for minutes


@pytest.mark.parametrize(("command", "number"), COMMANDS)
def test_no_address_or_undefined_behaviour(build: Build, stub: Path, command: str, number: str) -> None:
    run(build("address", "clang++") / "survive", command, stub, number)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), THREADS)
def test_no_data_race(build: Build, stub: Path, command: str, number: str) -> None:
    # ONNX Runtime is not instrumented: how its own threads wait for each other is not seen.
    options = f"report_mutex_bugs=0 suppressions={HERE / 'tsan.supp'}"
    run(build("thread") / "survive", command, stub, number, TSAN_OPTIONS=options)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "number"), [("frames", "1"), ("misuse", "0"), ("reload", "2")])
def test_valgrind_finds_no_leak(build: Build, stub: Path, command: str, number: str) -> None:
    flags = ("--leak-check=full", "--error-exitcode=9", "--errors-for-leak-kinds=definite,indirect", "--quiet")
    supp = f"--suppressions={HERE / 'valgrind.supp'}"
    run("valgrind", *flags, supp, build("release", "valgrind") / "survive", command, stub, number)


def fuzz(build: Build, name: str, seeds: Path, seconds: int) -> None:
    program = build("address", "clang++") / f"fuzz_{name}"
    # A process begins with the peak of the one that made it, and that is what libFuzzer would compare with its limit of
    # resident memory; what one input may ask for is a limit of its own.
    limits = ("-max_len=65536", "-timeout=10", "-rss_limit_mb=0", "-malloc_limit_mb=512")
    run(program, f"-max_total_time={seconds}", *limits, f"-artifact_prefix={seeds}/", seeds)


def seeds(name: str, stub: Path, folder: Path) -> Path:
    folder.mkdir()
    if name == "manifest":
        (folder / "seed").write_bytes((stub / "codi.json").read_bytes())
    else:
        (folder / "seed").write_bytes((stub / "golden/sr-2step.safetensors").read_bytes()[:4096])
        (folder / "small").write_bytes(save({}))
    return folder


@pytest.mark.parametrize("name", ["manifest", "safetensors"])
def test_any_bytes_are_read_or_refused(build: Build, stub: Path, tmp_path: Path, name: str) -> None:
    fuzz(build, name, seeds(name, stub, tmp_path / "seeds"), SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest", "safetensors"])
def test_any_bytes_are_read_or_refused_for_long(build: Build, stub: Path, tmp_path: Path, name: str) -> None:
    fuzz(build, name, seeds(name, stub, tmp_path / "seeds"), 300)
