"""Seeded toy models in diffusers layout: everything that a real folder has, at widths that take milliseconds.

The weights are random, and the adapter's zero convolutions are not zero, so that every tensor has a say in the output.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDPMScheduler,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from codi_export import registry
from codi_export.graph.cache import Cache
from codi_export.graph.export import Exported, export
from codi_export.model import adapter as adapters
from codi_export.model import backbone as backbones
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.noise import normal
from codi_export.spec import AdapterSpec, BuildSpec

WORDS = ("[PAD]", "[UNK]", "a", "photo", "of", "sharp", "the", "sea")
TOKENS = 6
TEXT_WIDTH = 16
FACTOR = 4  # pixels per latent pixel, of every VAE but SD's

VaeKind = Literal["kl", "tiny", "dc"]
Kind = Literal["epsilon", "v_prediction"]
Net = TypeVar("Net", bound=nn.Module)
KINDS: tuple[Kind, ...] = ("epsilon", "v_prediction")


@functools.cache
def recipe(kind: Kind) -> Recipe:
    """Two toys that share as little as they can: `epsilon` is what SD 1.5 users have, `v_prediction` what `mini` is."""
    root = Path(tempfile.mkdtemp(prefix="codi-tiny-"))
    atexit.register(shutil.rmtree, root)
    if kind == "epsilon":
        model, facts = backbone(root / "model"), AdapterSpec("sr")
    else:
        model = backbone(root / "model", "v_prediction", "dc", zero_snr=True)
        facts = AdapterSpec("sr", condition="unshuffled", backprojection=0.5)
    net = adapter(root / "adapter", model, facts)
    return prepare(BuildSpec("sr", (1, 2, 4), str(model), (str(net),), prompt="a photo of the sea"))


@functools.cache
def _exported(kind: Kind) -> Exported:
    image, noise = inputs(kind)
    return export(recipe(kind).pieces(), {"image": image, "noise": noise}, Cache(None))


def exported(kind: Kind) -> Exported:
    """The toy's pieces as graphs, traced once a session: the caller's own copies, tensors shared."""
    one = _exported(kind)
    return Exported(one.condition.clone(), one.step.clone(), one.decode.clone(), one.prompt)


def inputs(kind: Kind, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A picture [1, H, W, 3] of random pixels, and noise [1, C, h, w]."""
    one = recipe(kind)
    pixels = np.random.default_rng(seed).integers(0, 256, one.image_shape, dtype=np.uint8)
    return pixels, normal(seed, one.noise_shape)


def backbone(
    folder: Path,
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon",
    vae: VaeKind = "kl",
    zero_snr: bool = False,
    width: int = 16,
) -> Path:
    """Two levels of `width` and 2 `width`, 4x down; SD betas, rescaled to zero terminal SNR if asked for."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(width, 2 * width),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    return _save(folder, unet, _vae(vae), prediction_type, zero_snr)


def sd15_shaped(folder: Path, width: int = 8) -> Path:
    """Stable Diffusion 1.5's own shape, four levels and an 8x KL VAE, with `width` channels in place of 320."""
    torch.manual_seed(0)
    widths = (width, width * 2, width * 4, width * 4)
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=widths,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=width // 2,
    )
    vae = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        norm_num_groups=width // 2,
        scaling_factor=0.18215,
    )
    return _save(folder, unet, vae, "epsilon", zero_snr=False)


def adapter(folder: Path, backbone_folder: Path, facts: AdapterSpec, seed: int = 1) -> Path:
    """A ControlNet for the toy backbone, with the condition that `facts` names."""
    torch.manual_seed(seed)
    seen = registry.get("tasks", facts.task).condition_channels
    net = adapters.new(backbones.load(backbone_folder), facts.condition, width=16, trunk=facts.trunk, seen=seen)
    adapters.save(awake(net), facts, folder)
    return folder


def plain_controlnet(folder: Path, backbone_folder: Path, widths: tuple[int, ...]) -> Path:
    """A ControlNet as others save them: it says nothing of CoDi. `widths` are its condition embedding's."""
    torch.manual_seed(1)
    unet = backbones.load(backbone_folder).unet
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    awake(net).save_pretrained(folder)
    return folder


def _vae(kind: VaeKind) -> nn.Module:
    match kind:
        case "kl":
            return AutoencoderKL(
                block_out_channels=(8, 8, 16),
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                norm_num_groups=4,
                scaling_factor=0.7,
                shift_factor=0.1,
            )
        case "tiny":
            return AutoencoderTiny(
                encoder_block_out_channels=(8, 8, 8),
                decoder_block_out_channels=(8, 8, 8),
                num_encoder_blocks=(1, 1, 1),
                num_decoder_blocks=(1, 1, 1),
            )
        case "dc":
            return AutoencoderDC(
                latent_channels=4,
                encoder_block_types="ResBlock",
                decoder_block_types="ResBlock",
                encoder_block_out_channels=(8, 8, 16),
                decoder_block_out_channels=(8, 8, 16),
                encoder_layers_per_block=(0, 1, 1),
                decoder_layers_per_block=(0, 1, 1),
                encoder_qkv_multiscales=((), (), ()),
                decoder_qkv_multiscales=((), (), ()),
                downsample_block_type="pixel_unshuffle",
                upsample_block_type="interpolate",
                scaling_factor=1.3,
            )


def _save(folder: Path, unet: nn.Module, vae: nn.Module, prediction_type: str, zero_snr: bool) -> Path:
    scheduler = DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero_snr,
    )
    parts = {
        "unet": unet,
        "vae": vae,
        "scheduler": scheduler,
        "text_encoder": _text_encoder(),
        "tokenizer": tokenizer(),
    }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    return folder


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(WORDS),
            hidden_size=TEXT_WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=0,
            eos_token_id=0,
        )
    )


def tokenizer(pad: str = "[PAD]") -> PreTrainedTokenizerFast:
    """Eight words, as `tokenizers` reads them; `pad`, one of them, fills up what is short."""
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token=pad, model_max_length=TOKENS)


def awake(net: Net) -> Net:
    """A new adapter is silent: its outputs are multiplied by zero. Random numbers in their place."""
    for name, weight in net.named_parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.1)
        assert weight.any(), name
    return net
