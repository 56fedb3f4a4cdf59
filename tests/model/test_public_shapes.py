"""Folders of public shapes in our torch pipeline, against diffusers' own pipelines: text encoders, micro-conditioning,
timesteps, guidance, ControlNet, VAE scaling. Graphs are compared with that torch pipeline at each build.
"""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, ControlNetModel, UNet2DConditionModel
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection

import codi_export
from codi_export.errors import CodiError
from codi_export.model import fuse, text
from codi_export.recipe import Recipe, prepare
from codi_export.runtime import verify
from codi_export.runtime.noise import normal
from codi_export.spec import BuildSpec
from tests import shapes

PROMPT = "a sharp photo of the sea"


@torch.no_grad()
def ours(recipe: Recipe, steps: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The picture seen [1, 3, H, W] in [0, 1], the noise, and the picture made [1, 3, H, W] in [-1, 1]."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, recipe.image_shape, dtype=np.uint8))
    noise = torch.from_numpy(normal(0, recipe.noise_shape))
    schedule = next(one for one in recipe.schedules if len(one) == steps)
    _, picture, _ = fuse.run(recipe.pieces(), schedule, recipe.sampler, pixels, noise)
    return pixels.permute(0, 3, 1, 2) / 255, noise, picture


def theirs(recipe: Recipe, vae: Any, **more: Any) -> Any:
    """diffusers' pipeline over the same folders, each part opened by its own class."""
    model, net = Path(recipe.spec.model), Path(recipe.spec.adapters[0])
    parts = {
        "unet": UNet2DConditionModel.from_pretrained(model / "unet"),
        "vae": vae,
        "controlnet": ControlNetModel.from_pretrained(net),
        "scheduler": shapes.ddim(model),
        "text_encoder": CLIPTextModel.from_pretrained(model / "text_encoder"),
        "tokenizer": AutoTokenizer.from_pretrained(model / "tokenizer"),
        **more,
    }
    if "text_encoder_2" in more:
        pipeline = diffusers.StableDiffusionXLControlNetPipeline(**parts, add_watermarker=False)
    else:
        unsafe = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        pipeline = diffusers.StableDiffusionControlNetPipeline(**parts, **unsafe)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def theirs_xl(recipe: Recipe) -> Any:
    model = Path(recipe.spec.model)
    second = CLIPTextModelWithProjection.from_pretrained(model / "text_encoder_2")
    tokenizer = AutoTokenizer.from_pretrained(model / "tokenizer_2")
    vae = AutoencoderKL.from_pretrained(model / "vae")
    return theirs(recipe, vae, text_encoder_2=second, tokenizer_2=tokenizer)


def require_same(recipe: Recipe, pipeline: Any, steps: int, **more: Any) -> None:
    seen, noise, picture = ours(recipe, steps)
    given = {"prompt": PROMPT, "image": seen, "latents": noise, "num_inference_steps": steps, "output_type": "pt"}
    wanted = pipeline(**given, guidance_scale=recipe.spec.guidance, **more).images * 2 - 1
    # float32 in both, in another order: 1e-7 an operation, a few hundred of them deep
    torch.testing.assert_close(picture, wanted, rtol=0, atol=2e-5)
    assert picture.std() > 0.01


@pytest.mark.parametrize("prediction_type", ["v_prediction", "epsilon", "sample"])
def test_sd2_and_turbo(prediction_type: shapes.Prediction, tmp_path: Path) -> None:
    """An ordinary ControlNet on it: sampler and timesteps are the pipeline's, at 1, 2 and 4 steps."""
    model = shapes.sd2_shaped(tmp_path / "model", prediction_type)
    net = shapes.controlnet(tmp_path / "net", model)
    recipe = prepare(BuildSpec("depth", (1, 2, 4), str(model), (str(net),), prompt=PROMPT))
    assert [[step.t for step in one.steps] for one in recipe.schedules] == [[999], [999, 499], [999, 749, 499, 249]]
    pipeline = theirs(recipe, AutoencoderKL.from_pretrained(model / "vae"))
    for steps in (1, 2, 4):
        require_same(recipe, pipeline, steps)


@pytest.mark.parametrize(("guidance", "negative"), [(1.0, ""), (4.0, ""), (4.0, "the sea")])
def test_sdxl(guidance: float, negative: str, tmp_path: Path) -> None:
    """Both text encoders, the pooled prompt, sizes of an oblong picture; an empty negative prompt is zeros."""
    model = shapes.sdxl_shaped(tmp_path / "model")
    net = shapes.controlnet(tmp_path / "net", model)
    size = {"height": 64, "width": 96}
    guided = {"guidance": guidance, "negative_prompt": negative}
    recipe = prepare(BuildSpec("depth", (2,), str(model), (str(net),), prompt=PROMPT, **size, **guided))
    require_same(recipe, theirs_xl(recipe), 2, negative_prompt=negative or None, **size)


@pytest.mark.parametrize(("guidance", "batch_size"), [(1.0, 1), (4.0, 2)])
@torch.no_grad()
def test_sdxl_reads_prompts(guidance: float, batch_size: int, tmp_path: Path) -> None:
    """A bundle's tokenizers and graphs, against the pipeline: both pad in their own way, and one prompt holds the word
    that the second pads with."""
    model = shapes.sdxl_shaped(tmp_path / "model")
    net = shapes.controlnet(tmp_path / "net", model)
    options: dict[str, Any] = {"guidance": guidance, "height": 64, "width": 64, "batch_size": batch_size}
    given: dict[str, Any] = {"model": str(model), "adapter": str(net), **options}
    manifest = codi_export.build("depth", 2, tmp_path / "bundle", text_input=True, **given)
    names = [spec.name for spec in manifest.graphs[0].inputs]
    assert names == ["image", "noise", "prompt_embeds", "pooled_prompt_embeds"]
    assert manifest.graphs[0].inputs[-1].shape == (batch_size, shapes.POOLED)
    assert all(check.ok for check in verify.checks(tmp_path / "bundle"))

    session = codi_export.load(tmp_path / "bundle")
    pipeline = theirs_xl(prepare(BuildSpec("depth", (2,), str(model), (str(net),), **options)))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    seen = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    noise = torch.from_numpy(normal(0, (1, 4, 8, 8)))
    made = {}
    for prompt in ("a photo", "the sea"):
        words, _, whole, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
        made[prompt] = session(pixels, prompt=prompt)
        embeds = {"prompt_embeds": words.numpy(), "pooled_prompt_embeds": whole.numpy()}
        same = {"image": seen, "latents": noise, "num_inference_steps": 2, "output_type": "np"}
        wanted = pipeline(prompt=prompt, guidance_scale=guidance, **same).images[0]
        for got in (made[prompt], session(pixels, **embeds)):
            assert np.abs(got - np.floor(wanted * 255 + 0.5)).max() <= 1  # a rounding may fall on either side
    assert np.abs(made["a photo"].astype(int) - made["the sea"]).max() > 4

    with pytest.raises(CodiError, match=r"got prompt_embeds$") as caught:
        session(pixels, prompt_embeds=words.numpy())
    assert "prompt_embeds and pooled_prompt_embeds stand in for it" in caught.value.hint


def test_sdxl_that_reads_prompts_comes_first(tmp_path: Path) -> None:
    """With its prompt built in, fewer weights of the backbone are read."""
    model = shapes.sdxl_shaped(tmp_path / "model")
    given: dict[str, Any] = {"model": str(model), "adapter": str(shapes.controlnet(tmp_path / "net", model))}
    codi_export.build("depth", 1, tmp_path / "read", text_input=True, **given)
    manifest = codi_export.build("depth", 2, tmp_path / "read", **given)
    assert [len(graph.inputs) for graph in manifest.graphs] == [4, 2]
    assert manifest.tokenizer_2 == "tokenizer_2.json"
    codi_export.build("depth", 1, tmp_path / "built-in", **given)
    with pytest.raises(CodiError, match="holds other weights") as caught:
        codi_export.build("depth", 2, tmp_path / "built-in", text_input=True, **given)
    assert "SDXL that reads prompts with each call has to come first" in caught.value.hint


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            CLIPTextModel(shapes.text_config(shapes.SECOND_WIDTH)),
            "text_encoder_2 gives no embedding of the whole prompt",
        ),
        (
            CLIPTextModelWithProjection(shapes.text_config(shapes.SECOND_WIDTH, tokens=5)),
            "text_encoder reads 6 tokens, text_encoder_2 5",
        ),
    ],
)
def test_sdxl_encoders_that_do_not_belong_together(second: Any, message: str, tmp_path: Path) -> None:
    model = shapes.sdxl_shaped(tmp_path / "model")
    second.save_pretrained(model / "text_encoder_2")
    with pytest.raises(CodiError, match=message):
        text.load_texts(model)


def test_a_tiny_vae_from_another_folder(tmp_path: Path) -> None:
    model = shapes.sd2_shaped(tmp_path / "model")
    net = shapes.controlnet(tmp_path / "net", model)
    vae = shapes.taesd_shaped(tmp_path / "taesd")
    recipe = prepare(BuildSpec("depth", (1,), str(model), (str(net),), prompt=PROMPT, vae=str(vae)))
    require_same(recipe, theirs(recipe, AutoencoderTiny.from_pretrained(vae)), 1)
