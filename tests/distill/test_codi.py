import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn
from torch.utils import checkpoint

from codi_export import registry
from codi_export.errors import CodiError
from codi_export.facts import read_facts
from codi_export.recipe import prepare
from codi_export.spec import BuildSpec
from distill import activations, objectives
from distill.adapted import AdapterConfig
from distill.codi import CodiJob
from distill.config import DataConfig, TrainConfig, record
from distill.step import CodiConfig, Models
from distill.trainer import train
from tests.distill.conftest import picture

DATA = DataConfig(held_out_photos=3, held_out_scenes=2, crops=(32, 64), shares=(0.5, 0.5))


def _job(pack: Path, toy_backbone: Path, distance: Any = "latent", **shape: Any) -> CodiJob:
    torch.manual_seed(0)
    method = CodiConfig(target_decay=0.5, distance=distance)
    return CodiJob(registry.get("tasks", "sr"), AdapterConfig(width=16, **shape), method, DATA, pack, toy_backbone)


def test_batches_hold_low_resolution_inputs_of_their_own_images(pack: Path, toy_backbone: Path) -> None:
    job = _job(pack, toy_backbone)
    for seed in range(4):
        batch = job.batch(np.random.default_rng(seed), 4)
        side = batch["image"].shape[-1]
        assert batch["seen"].shape == (len(batch["image"]), 3, side // 4, side // 4)
        assert batch["seen"].min() >= 0 and batch["seen"].max() <= 1
        shrunk = torch.nn.functional.avg_pool2d((batch["image"] + 1) / 2, 4)
        assert (shrunk - batch["seen"]).abs().mean() < 0.15


def test_training_resumes_to_the_same_bits_and_saves_a_plain_controlnet(
    pack: Path, toy_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(steps=4, batch_size=2, warmup=1, save_every=2, validate_every=100)
    unbroken = train(_job(pack, toy_backbone), config, tmp_path / "unbroken")
    killed = _job(pack, toy_backbone)
    monkeypatch.setattr(
        killed, "stepped", lambda module, step: _die() if step == 2 else CodiJob.stepped(killed, module, step)
    )
    with pytest.raises(KeyboardInterrupt):
        train(killed, config, tmp_path / "killed")
    job = _job(pack, toy_backbone)
    resumed = train(job, config, tmp_path / "killed")
    assert all(
        torch.equal(a, b) for a, b in zip(unbroken.state_dict().values(), resumed.state_dict().values(), strict=True)
    )

    last = json.loads((tmp_path / "killed" / "log.jsonl").read_text().splitlines()[-1])
    figures = {"diversity", "diversity_data", "chroma", "chroma_data", "clipped", "clipped_data", "drift"}
    assert figures <= set(last) and last["diversity"] > 0 and last["drift"] > 0

    job.save(resumed, tmp_path / "sr")
    assert ControlNetModel.from_pretrained(tmp_path / "sr").config.conditioning_channels == 3 * 16 + 4
    facts = read_facts(tmp_path / "sr")
    assert facts is not None and facts.task == "sr" and facts.timesteps["2"] == (999, 239)


@pytest.mark.parametrize("shape", [{"mode": "full"}, {"lora_rank": 2}], ids=["full", "lora"])
def test_what_became_of_the_u_net_is_saved_and_built_with(
    pack: Path, toy_backbone: Path, tmp_path: Path, shape: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    adapted = AdapterConfig(width=16, trunk=1, attention=False, **shape)
    job = CodiJob(registry.get("tasks", "sr"), adapted, CodiConfig(target_decay=0.5), DATA, pack, toy_backbone)
    config = TrainConfig(steps=3, batch_size=2, warmup=1, learning_rate=1e-2, validate_every=100)
    average = train(job, config, tmp_path / "run")
    job.save(average, tmp_path / "sr")
    recipe = prepare(BuildSpec("sr", (1,), model=str(toy_backbone), adapters=(str(tmp_path / "sr"),)))
    built, frozen = recipe.backbone.unet, job.backbone.unet
    assert average.unet is not None
    torch.testing.assert_close(built.conv_in.weight, average.unet.conv_in.weight, rtol=2e-3, atol=2e-4)  # fp16
    assert not torch.allclose(built.conv_in.weight, frozen.conv_in.weight, rtol=2e-3, atol=2e-4)


def test_the_backbone_stays_frozen(pack: Path, toy_backbone: Path) -> None:
    job = _job(pack, toy_backbone)
    loss, _ = job.loss(job.module, job.batch(np.random.default_rng(0), 2), torch.Generator().manual_seed(0))
    loss.backward()
    frozen = job.backbone.unet, job.backbone.vae, job.text.encoder, job.target.average
    assert all(p.grad is None for module in frozen for p in module.parameters())


def test_the_loss_asks_what_is_trained_and_its_live_average(
    pack: Path, toy_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what they were when the job began."""
    job, asked = _job(pack, toy_backbone), list[Any]()

    def spy(models: Models, *_: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        asked.append(models)
        return torch.zeros(()), {}

    monkeypatch.setitem(objectives.OBJECTIVES, "codi", spy)
    with torch.no_grad():
        for step in range(2):
            assert job.module.net is not None
            job.module.net.controlnet_mid_block.bias += 1.0
            job.stepped(job.module, step)
            job.loss(job.module, job.batch(np.random.default_rng(0), 2), torch.Generator().manual_seed(0))
    student, target, teacher = (getattr(asked[-1], name).adapter for name in ("student", "target", "teacher"))
    assert student is job.module.net and teacher is None
    assert student.controlnet_mid_block.bias[0].item() == 2.0
    assert target.controlnet_mid_block.bias[0].item() == 1.25  # half of 2, half of what was half of 1


def _words(kind: type) -> list[tuple[str, str]]:
    """(setting, word) of every choice between words."""
    hints = get_type_hints(kind).items()
    return [(name, word) for name, hint in hints if get_origin(hint) is Literal for word in get_args(hint)]


@pytest.mark.parametrize(("setting", "word"), _words(AdapterConfig) + _words(CodiConfig))
def test_every_word_of_every_setting_runs(
    pack: Path, toy_backbone: Path, tmp_path: Path, setting: str, word: str
) -> None:
    torch.manual_seed(0)
    task, chosen = registry.get("tasks", "sr"), {setting: word}
    if word in ("gd", "cm"):
        first = _job(pack, toy_backbone)
        first.save(first.module, tmp_path)
        chosen["teacher"] = str(tmp_path)
    if word == "t2i":
        chosen["condition"] = "pixels"
    shape, method = (
        record(kind, {name: value for name, value in chosen.items() if name in get_type_hints(kind)})
        for kind in (AdapterConfig, CodiConfig)
    )
    job = CodiJob(task, shape, method, DATA, pack, toy_backbone)
    loss, _ = job.loss(job.module, job.batch(np.random.default_rng(0), 2), torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    assert any(p.grad is not None and p.grad.any() for p in job.module.parameters())


@pytest.mark.parametrize(
    ("shape", "distance"), [({}, "pixel"), ({"mode": "full"}, "latent"), ({"lora_rank": 2}, "latent")]
)
def test_recomputed_activations_give_the_same_loss_and_gradients(
    pack: Path, toy_backbone: Path, monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any], distance: Any
) -> None:
    job = _job(pack, toy_backbone, distance=distance, **shape)
    nn.init.normal_(job.module.net.controlnet_mid_block.weight, std=0.1)  # at zero no gradient would reach the encoder
    batch = job.batch(np.random.default_rng(0), 2)

    def gradients() -> tuple[Tensor, list[Tensor]]:
        job.module.zero_grad()
        loss, _ = job.loss(job.module, batch, torch.Generator().manual_seed(0))
        loss.backward()
        return loss.detach(), [p.grad.clone() for p in job.module.parameters() if p.grad is not None]

    plain, expected = gradients()
    recomputed, run = set[nn.Module](), checkpoint.checkpoint

    def counted(call: Any, *arguments: Any, **words: Any) -> Any:
        recomputed.add(call.__self__)
        return run(call, *arguments, **words)

    monkeypatch.setattr(checkpoint, "checkpoint", counted)
    activations.recompute(job.gradient_path())
    loss, given = gradients()
    for part in (job.module.net, job._denoiser(job.module).unet):  # the U-Net, frozen or not
        assert recomputed & set(part.modules())
    assert torch.equal(loss, plain)
    assert len(given) == len(expected) and all(map(torch.equal, given, expected))


def _die() -> None:
    raise KeyboardInterrupt


def test_a_folder_of_pairs_gives_the_same_batches_from_memory_and_from_disk(toy_backbone: Path, tmp_path: Path) -> None:
    for seed in range(5):
        for part in ("image", "depth"):
            (tmp_path / part).mkdir(exist_ok=True)
            picture(2 * seed + (part == "depth"), 48, 40).save(tmp_path / part / f"{seed}.png")
    pairs = DataConfig(".", "", photo_share=1, held_out_photos=2, crops=(32,), condition="depth", validation_crop=32)
    memory, disk = (
        CodiJob(
            registry.get("tasks", "depth"), AdapterConfig(width=16), CodiConfig(), replace(pairs, cache=cache),
            tmp_path, toy_backbone,
        )
        for cache in ("memory", "disk")
    )  # fmt: skip
    for seed in range(4):
        one, other = (job.batch(np.random.default_rng(seed), 3) for job in (memory, disk))
        assert one["seen"].shape == one["image"].shape and not torch.equal(one["seen"], (one["image"] + 1) / 2)
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert np.array_equal(memory.originals(), disk.originals())
    assert memory.settings() == disk.settings()  # a run may be resumed with the other


def test_a_t2i_adapter_reads_pixels(pack: Path, toy_backbone: Path) -> None:
    with pytest.raises(CodiError, match="reads the condition 'pixels', not 'unshuffled'"):
        CodiJob(registry.get("tasks", "sr"), AdapterConfig(kind="t2i"), CodiConfig(), DATA, pack, toy_backbone)


@pytest.mark.parametrize("task", registry.names("tasks"))
def test_every_task_trains_and_validates_with_its_own_condition(
    scenes: Path, toy_backbone: Path, tmp_path: Path, task: str
) -> None:
    """On scenes that bring a depth map, an edit and an instruction; what is saved is built as it was trained."""
    members: dict[str, Any] = {"depth": {"condition": "depth"}}
    members["edit"] = {"image": "edited", "condition": "image", "caption": "instruction"}
    data = DataConfig(photos="", photo_share=0.0, held_out_scenes=2, crops=(32,), validation_crop=64)
    shape = AdapterConfig(width=16, trunk=1, reads=True, drop_caption=0.0, image_size=32)
    found = registry.get("tasks", task)
    job = CodiJob(found, shape, CodiConfig(), replace(data, **members.get(task, {})), scenes, toy_backbone)
    batch = job.batch(np.random.default_rng(0), 2)
    assert batch["seen"].shape[1] == found.condition_channels
    assert task != "edit" or not torch.equal(batch["image"], batch["seen"] * 2 - 1)
    loss, _ = job.loss(job.module, batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    scores = job.validate(job.module, tmp_path / "grid.png")
    assert scores["diversity"] > 0 and any(name.startswith("psnr_") for name in scores)
    job.save(job.module, tmp_path / task)
    recipe = prepare(BuildSpec(task, (1,), model=str(toy_backbone), adapters=(str(tmp_path / task),)))
    assert recipe.size == (32, 32) and recipe.facts.reads
