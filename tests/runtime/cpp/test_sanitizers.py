"""The same programs, watched by sanitizers and by valgrind; and fuzzers at what reads files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import save

from tests.runtime.cpp.conftest import HERE, run

Build = Callable[..., Path]

COMMANDS = [("misuse", "0"), ("frames", "1"), ("reload", "5"), ("cancel", "2"), ("threads", "1"), ("threads", "8")]
SECONDS = 10  # of each fuzzer here; `make soak` runs them longer


@pytest.mark.parametrize(("command", "number"), COMMANDS)
def test_no_address_or_undefined_behaviour(build: Build, stub: Path, command: str, number: str) -> None:
    options = f"suppressions={HERE / 'lsan.supp'}"
    run(build("address") / "survive", command, stub, number, LSAN_OPTIONS=options, ASAN_OPTIONS="detect_leaks=1")


@pytest.mark.parametrize(("command", "number"), [("threads", "1"), ("threads", "8"), ("cancel", "2"), ("frames", "1")])
def test_no_data_race(build: Build, stub: Path, command: str, number: str) -> None:
    run(build("thread") / "survive", command, stub, number, TSAN_OPTIONS=f"suppressions={HERE / 'tsan.supp'}")


def test_valgrind_finds_no_leak(build: Build, stub: Path) -> None:
    program = build("release", "valgrind") / "survive"
    flags = ("--leak-check=full", "--error-exitcode=9", "--errors-for-leak-kinds=definite,indirect", "--quiet")
    run("valgrind", *flags, f"--suppressions={HERE / 'valgrind.supp'}", program, "frames", stub, "1")
    run("valgrind", *flags, f"--suppressions={HERE / 'valgrind.supp'}", program, "misuse", stub, "0")


def fuzz(build: Build, name: str, seeds: Path, seconds: int) -> None:
    program = build("fuzz", "clang++") / f"fuzz_{name}"
    run(
        program,
        f"-max_total_time={seconds}",
        "-max_len=65536",
        "-timeout=10",
        "-print_final_stats=1",
        f"-artifact_prefix={seeds}/",
        seeds,
    )


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
