"""Adapter folders, and whether an adapter fits a backbone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import WEIGHTS
from codi_export.model import adapter as adapters
from codi_export.recipe import Recipe
from codi_export.spec import AdapterSpec
from tests import tiny


def recipe() -> Recipe:
    return tiny.recipe("v_prediction")


def test_a_folder_says_what_it_was_trained_for() -> None:
    assert adapters.load(Path(recipe().spec.adapters[0])).facts == recipe().facts


def test_diffusers_loads_it_too() -> None:
    ours, theirs = recipe().adapters[0].net, ControlNetModel.from_pretrained(recipe().spec.adapters[0])
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor.float(), ours.state_dict()[name]), name


def test_a_plain_controlnet_says_nothing(tmp_path: Path) -> None:
    folder = tiny.plain_controlnet(tmp_path, Path(recipe().spec.model), (4, 8, 16))
    assert adapters.load(folder).facts is None


@pytest.mark.parametrize("condition", ["pixels", "unshuffled"])
def test_a_new_adapter_fits_and_is_silent(condition: str) -> None:
    net = adapters.new(recipe().backbone, condition, width=16)
    facts = replace(recipe().facts, condition=condition)  # type: ignore[arg-type]
    adapters.require_fit(replace(recipe().adapters[0], net=net), recipe().backbone, facts)
    silent = [p for name, p in net.named_parameters() if "controlnet_down" in name or "controlnet_mid" in name]
    assert silent
    assert not any(p.any() for p in silent)


def test_without_attention_it_is_the_rest_of_the_copy(tmp_path: Path) -> None:
    full, net = (adapters.new(recipe().backbone, "pixels", 16, attention=wanted) for wanted in (True, False))
    assert not [name for name in net.state_dict() if "attention" in name]
    embedding = "controlnet_cond_embedding."  # each adapter's own, random
    for name, tensor in net.state_dict().items():
        assert name.startswith(embedding) or torch.equal(tensor, full.state_dict()[name]), name
    adapters.save(net, recipe().facts, tmp_path)
    adapters.require_fit(adapters.load(tmp_path), recipe().backbone, replace(recipe().facts, condition="pixels"))


def test_a_trunk_is_saved_and_loaded(tmp_path: Path) -> None:
    net = adapters.new(recipe().backbone, "unshuffled", width=16, trunk=2)
    adapters.save(net.half(), replace(recipe().facts, condition="unshuffled", trunk=2), tmp_path)
    again = adapters.load(tmp_path).net.state_dict()
    assert again.keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor.float(), again[name]), name


def test_a_trunk_of_another_depth(tmp_path: Path) -> None:
    net = adapters.new(recipe().backbone, "unshuffled", width=16, trunk=2)
    adapters.save(net, replace(recipe().facts, condition="unshuffled", trunk=3), tmp_path)
    with pytest.raises(CodiError, match="does not load as an adapter with a trunk") as raised:
        adapters.load(tmp_path)
    assert raised.value.code is ErrorCode.BAD_MODEL


def test_a_trunk_in_a_file_that_was_cut_short(tmp_path: Path) -> None:
    net = adapters.new(recipe().backbone, "unshuffled", width=16, trunk=2)
    adapters.save(net, replace(recipe().facts, condition="unshuffled", trunk=2), tmp_path)
    weights = tmp_path / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CodiError, match="bytes, its header says") as raised:
        adapters.load(tmp_path)
    assert raised.value.code is ErrorCode.BAD_MODEL


def test_a_trunk_works_at_latent_size() -> None:
    with pytest.raises(CodiError, match="needs the condition 'unshuffled', not 'pixels'"):
        adapters.new(recipe().backbone, "pixels", width=16, trunk=2)


def test_a_condition_that_is_another_size(tmp_path: Path) -> None:
    """A ControlNet for an 8x VAE beside a 4x one."""
    folder = tiny.plain_controlnet(tmp_path, Path(recipe().spec.model), (4, 8, 12, 16))
    with pytest.raises(CodiError, match=r"condition pixels per latent pixel: 8; the backbone .* needs 4"):
        adapters.require_fit(adapters.load(folder), recipe().backbone, AdapterSpec("sr"))


def test_a_condition_of_another_kind() -> None:
    with pytest.raises(CodiError, match=r"condition channels: 52; the backbone .* needs 3"):
        adapters.require_fit(recipe().adapters[0], recipe().backbone, AdapterSpec("sr"))
