"""The two orders of the baselines, each stage begun from what the one before it left (distill/README.md 8)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from codi_export import registry
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import LORA, read_facts
from codi_export.model import lora
from distill import stages
from distill.adapted import AdapterConfig
from distill.codi import CodiJob
from distill.config import DataConfig, record
from distill.step import CodiConfig

DATA = DataConfig(held_out_photos=1, held_out_scenes=1, crops=(32,), validation_crop=64)
SHAPE = AdapterConfig(width=16, trunk=1, attention=False)


@pytest.fixture
def new(pack: Path, toy_backbone: Path) -> Any:
    """A job by its differences from the common one."""

    def make(model: Path = toy_backbone, method: dict[str, Any] | None = None, **shape: Any) -> CodiJob:
        torch.manual_seed(0)
        config, chosen = replace(SHAPE, **shape), record(CodiConfig, method or {})
        return CodiJob(registry.get("tasks", "sr"), config, chosen, DATA, pack, model)

    return make


def _awake(module: nn.Module) -> None:
    for parameter in module.parameters():
        if parameter.requires_grad and not parameter.any():
            nn.init.normal_(parameter, std=0.02)


def _learns(job: CodiJob) -> float:
    loss, _ = job.loss(job.module, job.batch(np.random.default_rng(0), 2), torch.Generator().manual_seed(0))
    loss.backward()
    assert any(p.grad is not None and p.grad.any() for p in job.module.parameters())
    return loss.item()


def _same(one: nn.Module, other: nn.Module) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=1e-4, msg=name)  # fp16 in the file


@pytest.mark.parametrize("objective", ["gd", "cm"])
def test_finetune_first(new: Any, tmp_path: Path, objective: str) -> None:
    first = new(method={"objective": "denoise"})
    _awake(first.module)
    _learns(first)
    first.save(first.module, tmp_path / "first")
    named = {"objective": objective, "teacher": str(tmp_path / "first"), "L": 4, "gap": 250}
    second = new(method=named, start=str(tmp_path / "first"))
    _same(second.module.net, first.module.net)
    _same(second.target.average.net, first.module.net)
    _same(second.teacher.adapter, first.module.net)
    _learns(second)
    assert all(p.grad is None for p in second.teacher.parameters())
    assert all(p.grad is None for p in second.backbone.unet.parameters())
    second.save(second.module, tmp_path / "second")
    facts = read_facts(tmp_path / "second")
    assert facts is not None and (facts.L, facts.gap) == (4, 250)
    assert facts.predictor == {"gd": "ddim", "cm": "prev"}[objective]
    assert facts.timesteps["4"] == (999, 749, 499, 249), "the usual list lies beside this grid"


@pytest.mark.parametrize("reads", [False, True])
def test_distil_first(new: Any, tmp_path: Path, reads: bool) -> None:
    """Stage 1 leaves a backbone with its own U-Net, stage 2 adapts it and leaves it as it is."""
    first = new(method={"objective": "gd"}, mode="backbone", reads=reads)
    assert first.module.net is None and first.teacher.adapter is None
    _learns(first)
    assert all(p.grad is None for p in first.backbone.unet.parameters())
    with torch.no_grad():
        first.module.unet.conv_in.bias += 1.0
    assert first.validate(first.module, tmp_path / "grid.png")["psnr_bicubic"] > 0
    first.save(first.module, tmp_path / "distilled")

    second = new(model=tmp_path / "distilled", method={"objective": "denoise"}, reads=reads)
    _same(second.backbone.unet, first.module.unet)
    _learns(second)
    assert all(p.grad is None for p in second.backbone.unet.parameters())


@pytest.mark.parametrize("shape", [{"mode": "full"}, {"lora_rank": 2}], ids=["full", "lora"])
def test_changes_to_the_u_net_are_gone_on_with(new: Any, tmp_path: Path, shape: dict[str, Any]) -> None:
    first = new(**shape)
    _awake(first.module)
    with torch.no_grad():
        first.module.unet.conv_in.bias += 1.0 if shape.get("mode") else 0.0
    first.save(first.module, tmp_path / "first")
    _same(new(start=str(tmp_path / "first"), **shape).module, first.module)
    with pytest.raises(CodiError, match="has a U-Net that this run would leave behind"):
        new(start=str(tmp_path / "first"))
    if "lora_rank" in shape:
        with pytest.raises(CodiError, match="has rank 2, not 3") as raised:
            new(start=str(tmp_path / "first"), lora_rank=3)
        assert raised.value.code is ErrorCode.BAD_MODEL
        whole = new(start=str(tmp_path / "first"), mode="full").module.unet
        _same(whole, lora.merge(first.backbone.unet, tmp_path / "first" / LORA))


def test_a_start_of_another_shape(new: Any, tmp_path: Path) -> None:
    first = new()
    first.save(first.module, tmp_path)
    with pytest.raises(CodiError, match="cannot be started from: the adapter's shape") as raised:
        new(start=str(tmp_path), trunk=2)
    assert raised.value.code is ErrorCode.BAD_MODEL
    with pytest.raises(CodiError, match="in mode backbone: expected none"):
        new(start=str(tmp_path), mode="backbone")


def test_a_teacher_that_sees_another_condition(new: Any, tmp_path: Path) -> None:
    first = new(condition="pixels", trunk=0)
    first.save(first.module, tmp_path)
    with pytest.raises(CodiError, match="condition channels: 3"):
        new(method={"objective": "cm", "teacher": str(tmp_path)})


@pytest.mark.parametrize("objective", ["gd", "cm"])
def test_who_needs_a_teacher_and_who_is_one(objective: str) -> None:
    stages.require_teacher(objective, "adapters/first", bare=False)
    stages.require_teacher(objective, "", bare=True)
    stages.require_teacher("codi", "", bare=False)
    with pytest.raises(CodiError, match="expected an adapter's folder") as raised:
        stages.require_teacher(objective, "", bare=False)
    assert raised.value.code is ErrorCode.BAD_OPTION
    with pytest.raises(CodiError, match="expected none in mode backbone"):
        stages.require_teacher(objective, "adapters/first", bare=True)
