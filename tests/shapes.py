"""The shapes of public models at a width that takes milliseconds: every option of their configs that changes the graph.

Read from the models' published config.json files; widths, depths and vocabularies are divided, the weights random.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
)
from tokenizers.processors import TemplateProcessing
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, PreTrainedTokenizerFast

from tests import tiny

POOLED = 12  # numbers in which SDXL's second encoder says the whole prompt
SECOND_WIDTH = 24
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
Prediction = Literal["epsilon", "v_prediction", "sample"]


def sd2_shaped(folder: Path, prediction_type: Prediction = "v_prediction") -> Path:
    """Stable Diffusion 2.1 (v_prediction) and SD-Turbo (epsilon): linear projections, heads that differ by level, GELU
    in the text encoder; sampled at the end of each interval."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16, 16),
        cross_attention_dim=tiny.TEXT_WIDTH,
        attention_head_dim=(1, 2, 4, 4),
        layers_per_block=1,
        norm_num_groups=4,
        use_linear_projection=True,
    )
    scheduler = EulerDiscreteScheduler(**BETAS, prediction_type=prediction_type, timestep_spacing="trailing")
    text = CLIPTextModel(text_config(tiny.TEXT_WIDTH, hidden_act="gelu"))
    return _save(folder, unet=unet, vae=_kl(), scheduler=scheduler, text_encoder=text, tokenizer=tiny.tokenizer())


def sdxl_shaped(folder: Path) -> Path:
    """SDXL: two text encoders, the second with a projection; transformers of different depths; micro-conditioning; a
    scheduler whose own spacing is `leading`."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        cross_attention_dim=tiny.TEXT_WIDTH + SECOND_WIDTH,
        attention_head_dim=(1, 2, 4),
        layers_per_block=1,
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + POOLED,
    )
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)
    second = CLIPTextModelWithProjection(text_config(SECOND_WIDTH, hidden_act="gelu", projection_dim=POOLED))
    _save(
        folder,
        unet=unet,
        vae=_kl(0.13025),
        scheduler=scheduler,
        text_encoder=CLIPTextModel(text_config(tiny.TEXT_WIDTH)),
        tokenizer=_ending(tiny.tokenizer()),
        text_encoder_2=second,
        tokenizer_2=_ending(tiny.tokenizer("the")),
    )
    index = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _ending(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """With the end of text, [PAD] here, behind each prompt: SDXL's first tokenizer pads with it, the second with a
    character that prompts may hold."""
    template = TemplateProcessing(single="$A [PAD]", special_tokens=[("[PAD]", 0)])
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


def taesd_shaped(folder: Path) -> Path:
    """A tiny VAE as TAESD is: 8x, four latent channels, no scaling of latents."""
    torch.manual_seed(2)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    vae.save_pretrained(folder)
    return folder


def controlnet(folder: Path, model: Path) -> Path:
    """A ControlNet of the U-Net's own shape, as its trainers publish them."""
    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8, 8))
    tiny.awake(net).half().float().save_pretrained(folder)
    return folder


def ddim(model: Path) -> DDIMScheduler:
    """diffusers' own DDIM over a folder's betas, from the noisiest timestep to the clean end."""
    config = EulerDiscreteScheduler.load_config(model / "scheduler")
    ends = {"timestep_spacing": "trailing", "set_alpha_to_one": True, "clip_sample": False, "steps_offset": 0}
    return DDIMScheduler.from_config(config, **ends)


def _kl(scaling_factor: float = 0.18215) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        scaling_factor=scaling_factor,
    )


def text_config(width: int, tokens: int = tiny.TOKENS, **more: Any) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tiny.WORDS),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokens,
        bos_token_id=0,
        eos_token_id=0,
        **more,
    )


def _save(folder: Path, **parts: Any) -> Path:
    for name, part in parts.items():
        if isinstance(part, torch.nn.Module):
            part.half().float()  # what a bundle stores is what the folder has
        part.save_pretrained(folder / name)
    return folder
