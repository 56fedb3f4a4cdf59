"""What one run hands to the next (README.md 8): a frozen teacher, weights to start from, a U-Net to adapt."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path

from diffusers import UNet2DConditionModel

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import LORA, UNET
from codi_export.model import adapter, lora
from codi_export.model.backbone import Backbone
from codi_export.model.denoiser import Denoiser
from codi_export.model.steering import Net
from codi_export.spec import AdapterSpec

KEPT = ("model_index.json", "scheduler", "text_encoder", "tokenizer", "vae")  # of a backbone's folder


def teacher(folder: str, backbone: Backbone, facts: AdapterSpec) -> Denoiser:
    """The frozen teacher: the adapter in `folder` on its U-Net, or the backbone alone if `folder` is empty.

    `facts` are the student's: the teacher must see the condition that the student sees. Raises CodiError (bad-model).
    """
    if not folder:
        return Denoiser(backbone.unet, None, backbone.prediction_type)
    trained = adapter.load(Path(folder))
    adapter.require_fit(trained, backbone, facts)
    return Denoiser(trained.unet(backbone), trained.net, backbone.prediction_type)


def require_teacher(objective: str, teacher: str, bare: bool) -> None:
    """GD and CM copy a teacher that sees what the student sees: an adapter, or for a `bare` U-Net the backbone.
    Raises CodiError (bad-option)."""
    if objective in ("gd", "cm") and bare == bool(teacher):
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"objective {objective} with teacher '{teacher}': expected "
            + ("none in mode backbone, where the backbone itself is the teacher" if bare else "an adapter's folder"),
            'an adapter for [method] teacher is trained with objective = "denoise"',
        )


def begin(net: Net | None, unet: UNet2DConditionModel | None, folder: str, backbone: Backbone) -> None:
    """Fill what is to be trained with what the adapter in `folder` learnt, its changes to the U-Net included.

    Raises CodiError (bad-model) if that adapter has another shape, or a U-Net that this run would not keep, and
    (bad-option) where no adapter is trained.
    """
    if net is None:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"start = '{folder}' in mode backbone: expected none",
            "the U-Net starts as that of --model, which may be the folder of an earlier run",
        )
    trained = adapter.load(Path(folder))
    _require(folder, "the adapter's shape", lambda: net.load_state_dict(trained.net.state_dict()))
    changes, own = Path(folder) / LORA, (Path(folder) / UNET).is_dir()
    if unet is not None and not lora.added(unet):
        source = trained.unet(backbone).state_dict()
        _require(folder, "the U-Net", lambda: unet.load_state_dict(source))
    elif unet is not None and changes.is_file():
        lora.resume(unet, changes)
    elif own or changes.is_file():
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} has a U-Net that this run would leave behind",
            'go on with it in mode = "full", or with the lora_rank that it was trained with',
        )


def save_backbone(unet: UNet2DConditionModel, backbone: Backbone, folder: Path) -> None:
    """Write a backbone with another U-Net, in fp16: what a run without an adapter made, for `--model`."""
    for part in KEPT:
        source = backbone.folder / part
        if source.is_dir():
            shutil.copytree(source, folder / part, dirs_exist_ok=True)
        elif source.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / part)
    copy.deepcopy(unet).half().save_pretrained(folder / "unet")


def _require(folder: str, what: str, load: Callable[[], object]) -> None:
    try:
        load()
    except RuntimeError as error:  # torch names every tensor that does not fit
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} cannot be started from: {what}: {error}") from error
