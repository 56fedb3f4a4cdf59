"""Stable Diffusion 1.5's true shapes with random weights: 860 M parameters of U-Net, 361 M of ControlNet, a tiny VAE.

Written tensor by tensor, as float16, so that making it takes no memory.
"""

import math
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderTiny, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from codi_export.graph import store

SD15: dict[str, Any] = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}
UNETS = {"sd15": SD15, "small": SD15 | {"block_out_channels": (64, 128, 256, 256)}}  # beside diffusers' defaults
VAE = (64, 64, 64, 64)


def write(folder: Path, name: str = "sd15") -> tuple[Path, Path]:
    """A model folder and a ControlNet folder under `folder`; what is there already is kept."""
    model, net = folder / "model", folder / "controlnet"
    if (net / "config.json").is_file():
        return model, net
    with init_empty_weights():
        unet = UNet2DConditionModel(**UNETS[name])
        controlnet = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
    blocks = {"num_encoder_blocks": (1, 3, 3, 3), "num_decoder_blocks": (3, 3, 3, 1)}
    torch.manual_seed(0)
    vae = AutoencoderTiny(encoder_block_out_channels=VAE, decoder_block_out_channels=VAE, **blocks)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=2, hidden_size=768, num_hidden_layers=1, intermediate_size=768))
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    DDIMScheduler(**betas, clip_sample=False).save_pretrained(model / "scheduler")
    vae.half().save_pretrained(model / "vae")
    text.half().save_pretrained(model / "text_encoder")
    words = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>")
    tokenizer.save_pretrained(model / "tokenizer")
    _write(unet, model / "unet")
    _write(controlnet, net)
    return model, net


def weights(folders: tuple[Path, ...]) -> int:
    """Bytes of all safetensors files below."""
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*.safetensors"))


def _write(module: nn.Module, folder: Path) -> None:
    module.save_config(folder)  # type: ignore[operator]
    tensors = {name: random(name, tensor.shape) for name, tensor in module.state_dict().items()}
    store.write(folder / "diffusion_pytorch_model.safetensors", tensors)


def random(name: str, shape: Sequence[int]) -> ir.LazyTensor:
    """Drawn when it is written: norms at 1, biases at 0, all else as torch draws a new layer's weights."""

    def draw() -> ir.TensorProtocol:
        if len(shape) == 1:
            tensor = torch.full(tuple(shape), float("norm" in name and name.endswith("weight")))
        else:
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            tensor = torch.randn(tuple(shape), generator=generator) / (3 * math.prod(shape[1:])) ** 0.5
        return ir.tensor(tensor.half().numpy())

    return ir.LazyTensor(draw, ir.DataType.FLOAT16, ir.Shape(tuple(shape)), name=name)


if __name__ == "__main__":  # SHAPE FOLDER: make them, say their bytes
    print(weights(write(Path(sys.argv[2]), sys.argv[1])))
