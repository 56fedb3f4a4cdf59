"""What a graph may be given: pictures, masks and tensors, checked before it runs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.image import Pixels
from codi_export.spec import Graph, TensorSpec

Mask = Pixels | Image.Image

NAMES = ("image", "mask", "noise", "prompt_embeds", "pooled_prompt_embeds", "adapter_scale")


def require_known(graph: Graph) -> None:
    """Inputs that this version can give. Raises CodiError (bad-bundle)."""
    unknown = [spec.name for spec in graph.inputs if spec.name not in NAMES]
    if unknown:
        raise CodiError(
            ErrorCode.BAD_BUNDLE,
            f"{graph.path} has inputs that are not known here: {', '.join(unknown)}",
            "update codi-export",
        )
    for name in ("image", "noise"):
        sizes(tensor(graph.inputs, name))


def tensor(specs: tuple[TensorSpec, ...], name: str) -> TensorSpec:
    """The input or output of that name. Raises CodiError (bad-bundle)."""
    for spec in specs:
        if spec.name == name:
            return spec
    raise CodiError(ErrorCode.BAD_BUNDLE, f"the graph has no input '{name}'", "build the bundle again")


def sizes(spec: TensorSpec) -> tuple[int, int, int, int]:
    """Of a tensor with four fixed ones. Raises CodiError (bad-bundle)."""
    found = [size for size in spec.shape if isinstance(size, int)]
    if len(found) != 4 or len(spec.shape) != 4:
        raise CodiError(
            ErrorCode.BAD_BUNDLE, f"input '{spec.name}' is {spec.shape}; expected four fixed sizes", "build it again"
        )
    return found[0], found[1], found[2], found[3]


def require_rgb(image: Pixels | Image.Image) -> Pixels:
    """uint8 [H, W, 3] of an array or a PIL image. Raises CodiError (bad-image)."""
    if isinstance(image, Image.Image) and image.mode != "RGB":
        raise CodiError(ErrorCode.BAD_IMAGE, f"the image's mode is {image.mode}, expected RGB", 'image.convert("RGB")')
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise CodiError(
            ErrorCode.BAD_IMAGE, f"expected uint8 [H, W, 3], got {pixels.dtype} {list(pixels.shape)}", "RGB, 0 to 255"
        )
    return pixels


def require_mask(mask: Mask, image: Pixels) -> Pixels:
    """uint8 [H, W], as large as the image [H, W, 3]. Raises CodiError (bad-image)."""
    if isinstance(mask, Image.Image) and mask.mode not in ("L", "1"):
        raise CodiError(ErrorCode.BAD_IMAGE, f"the mask's mode is {mask.mode}, expected L", 'mask.convert("L")')
    pixels = np.asarray(mask.convert("L") if isinstance(mask, Image.Image) else mask)
    if pixels.dtype != np.uint8 or pixels.shape != image.shape[:2]:
        want, got = f"uint8 {list(image.shape[:2])}", f"{pixels.dtype} {list(pixels.shape)}"
        raise CodiError(ErrorCode.BAD_IMAGE, f"the mask is {got}, expected {want}", "one value a pixel, 255 = fill")
    return pixels


def require_tensor(array: NDArray[Any], spec: TensorSpec) -> None:
    """Of the graph's type and shape. Raises CodiError (bad-option)."""
    if str(array.dtype) != spec.dtype or array.shape != spec.shape:
        want, got = f"{spec.dtype} {list(spec.shape)}", f"{array.dtype} {list(array.shape)}"
        raise CodiError(
            ErrorCode.BAD_OPTION, f"{spec.name}: expected {want}, got {got}", "a session called directly takes any size"
        )
