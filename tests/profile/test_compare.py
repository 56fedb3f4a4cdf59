"""Two results: refused if they are of different things, told apart if they differ, failed only if that is certain."""

import dataclasses

import numpy as np
import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.profile.compare import compare, sentence
from codi_export.profile.result import Result
from tests.profile.results import a_result


def times(mean: float, seed: int) -> Result:
    return a_result(times=tuple(np.random.default_rng(seed).normal(mean, 0.02 * mean, 60).tolist()))


def test_a_slower_one_is_told() -> None:
    verdict = compare(times(100, 0), times(110, 1))
    assert verdict.end_to_end.certain and verdict.end_to_end.ratio == pytest.approx(1.1, abs=0.02)
    assert verdict.slower_than(0.05) and not verdict.slower_than(0.10) and not verdict.slower_than(0.2)
    assert "slower" in sentence("end to end", verdict.end_to_end) and "60 pairs" in sentence("", verdict.end_to_end)


def test_a_faster_one_does_not_fail() -> None:
    verdict = compare(times(100, 0), times(80, 1))
    assert not verdict.slower_than(0.0) and "faster" in sentence("", verdict.engine)


def test_equals_are_not_told_apart() -> None:
    verdict = compare(times(100, 0), times(100, 1))
    assert not verdict.end_to_end.certain and not verdict.slower_than(0.0)
    assert "not told apart" in sentence("", verdict.end_to_end)


def test_different_bundles_are_refused_unless_told() -> None:
    a = times(100, 0)
    b = dataclasses.replace(a, subject=dataclasses.replace(a.subject, sha256="cd" * 32, graph="sr-4step"))
    with pytest.raises(CodiError, match="sr-2step/sr-2step and sr-2step/sr-4step differ in sha256, graph") as caught:
        compare(a, b)
    assert caught.value.code is ErrorCode.BAD_OPTION and "--any-bundle" in caught.value.hint
    assert compare(a, b, any_bundle=True).end_to_end.ratio == 1


def test_what_differs_is_listed_and_so_are_marks() -> None:
    a = times(100, 0)
    b = dataclasses.replace(a, runtime=dataclasses.replace(a.runtime, threads=4), marks=("throttled",))
    assert compare(a, b).differences == ("runtime.threads: None -> 4", "second: throttled")


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(CodiError, match="nothing to compare") as caught:
        compare(dataclasses.replace(times(1, 0), runs=()), times(1, 0))
    assert caught.value.code is ErrorCode.BAD_DATA


def test_one_pair_says_so() -> None:
    assert "anything" in sentence("end to end", compare(a_result(times=(1.0,)), a_result(times=(2.5,))).end_to_end)
