"""An application lives with the library: many calls, many threads, and what no one should do."""

from pathlib import Path

import numpy as np
import pytest

from tests import fake_bundle
from tests.runtime.cpp.conftest import run

KIB_PER_CALL = 1.0  # the 95 % bound of the slope over the second half of the calls must lie below


def growth(output: str) -> float:
    """KiB a call: the upper 95 % bound of the slope over the second half of the lines `call, KiB`."""
    lines = np.array([line.split() for line in output.splitlines()], float)
    calls, resident = lines[len(lines) // 2 :].T
    n, centred = len(calls), calls - calls.mean()
    slope = (centred * resident).sum() / (centred**2).sum()
    residual = resident - resident.mean() - slope * centred
    return float(slope + 1.96 * np.sqrt((residual**2).sum() / (n - 2) / (centred**2).sum()))


def test_growth_is_seen() -> None:
    assert growth("\n".join(f"{call} {1000 + 2 * call}" for call in range(100))) == pytest.approx(2.0)
    assert growth("\n".join(f"{call} {1000 + call % 2}" for call in range(100))) < 0.1


def test_ten_thousand_calls_do_not_grow(release: Path, stub: Path) -> None:
    assert growth(run(release / "survive", "calls", stub, "10000").stdout) < KIB_PER_CALL


def test_loading_and_freeing_two_hundred_times_does_not_grow(release: Path, stub: Path) -> None:
    output = run(release / "survive", "reload", stub, "200").stdout
    assert growth(output) < 16  # KiB a session, of which each holds hundreds: the allocator's own drift


@pytest.mark.slow
def test_three_hundred_calls_of_mini_do_not_grow(release: Path, mini: Path) -> None:
    assert growth(run(release / "survive", "calls", mini, "300").stdout) < KIB_PER_CALL


@pytest.mark.parametrize("handles", ["1", "8"])
def test_eight_threads_get_what_one_gets(release: Path, stub: Path, handles: str) -> None:
    run(release / "survive", "threads", stub, handles)


def test_a_call_is_cancelled_from_another_thread(release: Path, stub: Path) -> None:
    run(release / "survive", "cancel", stub, "5")


def test_what_is_wrong_is_refused_and_the_session_goes_on(release: Path, stub: Path) -> None:
    run(release / "survive", "misuse", stub, "0")


def test_a_24_megapixel_photo_takes_its_pictures_and_a_row_of_tiles(release: Path, stub: Path) -> None:
    before, after, pictures = map(int, run(release / "survive", "photo", stub, "1500").stdout.split())
    assert pictures > 70_000  # KiB: 1500 x 1000 in, 6000 x 4000 out, there before the call
    row = 64 * 6000 * 3 * 4 / 1024
    assert after - before < row + 2000


def test_no_allocation_of_ours_after_the_first_frames(release: Path, stub: Path, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "batch", batch=2)
    for bundle in (stub, tmp_path / "batch"):
        done = run(
            release / "survive", "frames", bundle, "4", LD_PRELOAD=str(release / "liballocations.so"), CODI_WARM="24"
        )
        assert "allocations: libcodi 0," in done.stderr, done.stderr


def test_the_counter_of_allocations_counts(release: Path, stub: Path) -> None:
    counter = str(release / "liballocations.so")
    done = run(release / "survive", "frames", stub, "1", LD_PRELOAD=counter, CODI_WARM="0")
    assert int(done.stderr.split("libcodi ")[1].split(",")[0]) > 5, done.stderr
