"""A roof is the lower of two."""

from itertools import count

import pytest

from codi_export import registry
from codi_export.profile.result import Device
from codi_export.profile.roofline import COPIED, SIDE, Roof, measured, of_device, of_target


def test_the_slower_of_arithmetic_and_memory_bounds() -> None:
    roof = Roof(1e9, 1e6, "a target")
    assert roof.ms(10**6, 10) == pytest.approx(1) and roof.ms(10, 10**4) == pytest.approx(10)


def test_a_target_is_found_by_the_devices_name() -> None:
    device = Device("NVIDIA Jetson Orin Nano 8GB Developer Kit", "jetson", "Linux")
    found, target = of_device(device, "fp16"), registry.get("targets", "jetson-orin-nano-8gb")
    assert found == of_target(target, "fp16") and found.flops_per_s == target.rates["fp16"]
    assert of_device(Device("A processor", "cpu", "Linux"), "fp32") is None


def test_a_precision_without_a_rate_of_its_own_has_that_of_fp32() -> None:
    target = registry.get("targets", "cpu")
    assert of_target(target, "bf16").flops_per_s == target.rates["fp32"]


def test_the_best_of_several_is_this_processors() -> None:
    """A clock by which everything takes a second."""
    ticks = count()
    found = measured(lambda: next(ticks))
    assert (found.flops_per_s, found.bytes_per_s) == (2 * SIDE**3, 2 * COPIED)
