"""A session is one graph of a bundle, loaded and ready to run."""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codi_export import bundle as bundles
from codi_export.backends import Runner
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import color, tiling
from codi_export.runtime import noise as noises
from codi_export.runtime.color import ColorFix
from codi_export.runtime.image import Pixels
from codi_export.runtime.inputs import Mask, require_mask, require_rgb, require_tensor, sizes, tensor
from codi_export.runtime.text import TextEncoder
from codi_export.spec import PORTABLE, Graph, TensorSpec

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]
Picture = TypeVar("Picture", Pixels, Image.Image)
Tile = Literal["auto", "off"] | int
Memory = Literal["private", "shared"]
Progress = Callable[[int, int], None]  # tiles done, tiles in all


@dataclass(frozen=True, slots=True)
class Session:
    """Call it with a picture of any size, or use `run` for the graph itself."""

    graph: Graph
    provider: str
    backend: str
    check: bundles.How
    runner: Runner = field(repr=False)
    text: Callable[[], TextEncoder] | None = field(default=None, repr=False)  # opened at the first prompt
    memory: Memory = "private"
    lowering: str = PORTABLE

    def __call__(
        self,
        image: Picture,
        seed: int = 0,
        tile: Tile = "auto",
        progress: Progress | None = None,
        *,
        mask: Mask | None = None,
        prompt: str | None = None,
        prompt_embeds: Floats | None = None,
        pooled_prompt_embeds: Floats | None = None,
        adapter_scale: float | None = None,
        color_fix: ColorFix = "none",
    ) -> Picture:
        """uint8 RGB [H, W, 3] or a PIL image in mode RGB; returns the same kind, `graph.scale` times as high and wide.

        `mask`: uint8 [H, W], or a PIL image in mode L, 255 = fill, for tasks that fill. `prompt`, or `prompt_embeds`
        float32 [1, T, D] in its place and for an SDXL `pooled_prompt_embeds` [1, P], for bundles that read one.
        `adapter_scale` multiplies what the adapter adds, in bundles that take it; 1 if left out. `color_fix`: "wavelet"
        or "adain" gives an enlarged photo the input's colours. `tile`: "auto" cuts larger pictures into overlapping
        tiles, "off" refuses them, a number is the tile's side that the graph must have. The same seed gives the same
        bytes. Raises CodiError (bad-image, bad-option).
        """
        pixels = require_rgb(image)
        self._require_tile(tile, pixels)
        self._require_enlarging(color_fix)
        seen = self._with_mask(pixels, mask)
        embeds = {"prompt_embeds": prompt_embeds, "pooled_prompt_embeds": pooled_prompt_embeds}
        fixed = self._prompt_inputs(prompt, embeds) | self._scale_input(adapter_scale)
        result = self._tiled(seen, fixed, seed, progress or (lambda done, total: None))
        result = color.fix(color_fix, result, pixels)
        return Image.fromarray(result) if isinstance(image, Image.Image) else result

    def run(
        self,
        image: Pixels,
        noise: Floats,
        mask: Pixels | None = None,
        prompt_embeds: Floats | None = None,
        pooled_prompt_embeds: Floats | None = None,
        adapter_scale: Floats | None = None,
    ) -> Pixels:
        """One call of the graph: uint8 [B, H, W, 3], float32 [B, C, h, w] and what else it takes, mask uint8
        [B, H, W, 1], prompt_embeds float32 [B, T, D], pooled_prompt_embeds float32 [B, P] and adapter_scale float32
        [], to uint8 [B, H', W', 3]."""
        given: dict[str, NDArray[Any] | None] = {
            "image": image,
            "noise": noise,
            "mask": mask,
            "prompt_embeds": prompt_embeds,
            "pooled_prompt_embeds": pooled_prompt_embeds,
            "adapter_scale": adapter_scale,
        }
        inputs: Arrays = {name: array for name, array in given.items() if array is not None}
        wanted = [spec.name for spec in self.graph.inputs]
        if sorted(inputs) != sorted(wanted):
            raise CodiError(ErrorCode.BAD_OPTION, f"the graph takes {', '.join(wanted)}; got {', '.join(inputs)}")
        for spec in self.graph.inputs:
            require_tensor(inputs[spec.name], spec)
        return self.runner(inputs)[self.graph.outputs[0].name]

    @property
    def image(self) -> TensorSpec:
        """The picture input, uint8 [B, H, W, 3]."""
        return tensor(self.graph.inputs, "image")

    @property
    def noise(self) -> TensorSpec:
        """The noise input, float32 [B, C, h, w]."""
        return tensor(self.graph.inputs, "noise")

    def _tiled(self, image: Pixels, fixed: Arrays, seed: int, progress: Progress) -> Pixels:
        """`image` [H, W, 3], or [H, W, 4] with its mask; `fixed` are inputs that every tile shares."""
        batch, tile_h, tile_w, _ = sizes(self.image)
        (height, width), scale, align = image.shape[:2], self.graph.scale, self._align()
        rows, columns = (tiling.plan(*sizes, align, scale) for sizes in ((height, tile_h), (width, tile_w)))
        padded = tiling.pad(image, tile_h, tile_w, align)
        tiles = list(itertools.product(enumerate(rows.starts), enumerate(columns.starts)))
        if len(tiles) == 1:
            outputs = self._run_tiles(padded, [(0, 0)], fixed, seed)
            progress(1, 1)
            return outputs[0, : height * scale, : width * scale]
        canvas = tiling.Canvas(rows, columns, height * scale, width * scale)
        for start in range(0, len(tiles), batch):
            some = tiles[start : start + batch]
            outputs = self._run_tiles(padded, [(y, x) for (_, y), (_, x) in some], fixed, seed)
            progress(start + len(some), len(tiles))
            for ((row, _), (column, _)), output in zip(some, outputs, strict=True):
                canvas.add(row, column, output)
        return canvas.pixels()

    def _run_tiles(self, image: Pixels, corners: list[tuple[int, int]], fixed: Arrays, seed: int) -> Pixels:
        """Tiles at `corners`, with the noise of their place in the picture, so that neighbours see the same noise."""
        batch, tile_h, tile_w, _ = sizes(self.image)
        _, c, h, w = sizes(self.noise)
        filled = corners + corners[-1:] * (batch - len(corners))  # a graph's batch size is fixed
        tiles = np.stack([image[y : y + tile_h, x : x + tile_w] for y, x in filled])
        noise = [_noise(seed, (1, c, h, w), (self._latent(y), self._latent(x))) for y, x in filled]
        masks = {"mask": tiles[..., 3:]} if tiles.shape[-1] == 4 else {}
        inputs = {name: np.asarray(array, order="C") for name, array in {**masks, **fixed}.items()}
        return self.run(np.ascontiguousarray(tiles[..., :3]), np.concatenate(noise), **inputs)[: len(corners)]

    def _with_mask(self, image: Pixels, mask: Mask | None) -> Pixels:
        """[H, W, 3], or [H, W, 4] with the mask as a fourth channel where the graph takes one."""
        if not self._takes("mask"):
            if mask is not None:
                raise CodiError(ErrorCode.BAD_OPTION, f"task '{self.graph.task}' takes no mask", "leave it out")
            return image
        if mask is None:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"task '{self.graph.task}' needs a mask",
                "mask=..., or --mask FILE: white (255) is filled",
            )
        return np.dstack([image, require_mask(mask, image)])

    def _prompt_inputs(self, prompt: str | None, embeds: dict[str, Floats | None]) -> Arrays:
        """What `embeds` names where the graph takes it, for each picture of the batch: given, or made of `prompt`."""
        wanted = [name for name in embeds if self._takes(name)]
        given = {name: array for name, array in embeds.items() if array is not None}
        if not wanted and (given or prompt is not None):
            raise CodiError(
                ErrorCode.BAD_OPTION, "this graph's prompt is built in", "codi-export build --text-input takes one"
            )
        if prompt is not None and not given and wanted and self.text:
            given = dict(self.text()(prompt))
        elif prompt is not None or list(given) != wanted:
            got = [*(["prompt"] if prompt is not None else []), *given]
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"task '{self.graph.task}' reads a prompt with each call; got {' and '.join(got) or 'none'}",
                f"prompt=..., or --prompt TEXT; {' and '.join(wanted)} stand in for it",
            )
        return {name: np.repeat(array, sizes(self.image)[0], axis=0) for name, array in given.items()}

    def _scale_input(self, scale: float | None) -> Arrays:
        """`adapter_scale` [] where the graph takes it."""
        if self._takes("adapter_scale"):
            return {"adapter_scale": np.array(1.0 if scale is None else scale, np.float32)}
        if scale is not None:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                "what this graph's adapter adds is fixed",
                "codi-export build --adapter-scale-input takes a factor with each call",
            )
        return {}

    def _takes(self, name: str) -> bool:
        return any(spec.name == name for spec in self.graph.inputs)

    def _latent(self, pixels: int) -> int:
        """Input pixels to latent pixels; exact at multiples of `_align()`."""
        return pixels * self.graph.scale // self.graph.latent_factor

    def _align(self) -> int:
        return self.graph.latent_factor // math.gcd(self.graph.latent_factor, self.graph.scale)

    def _require_enlarging(self, color_fix: ColorFix) -> None:
        if color_fix != "none" and self.graph.scale == 1:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"task '{self.graph.task}' does not enlarge its input, so that has no colours to keep",
                "leave out --color-fix",
            )

    def _require_tile(self, tile: Tile, image: Pixels) -> None:
        _, h, w, _ = sizes(self.image)
        if tile == "off" and (image.shape[0] > h or image.shape[1] > w):
            raise _bad_tile(f"the picture is {image.shape[1]} x {image.shape[0]}, the graph takes {w} x {h}")
        if isinstance(tile, int) and (tile != h or tile != w):
            raise _bad_tile(f"tile {tile}: this graph's tiles are {w} x {h}")


@functools.lru_cache(maxsize=1)
def _noise(seed: int, shape: tuple[int, int, int, int], origin: tuple[int, int]) -> Floats:
    """Kept for the next call: frames of a stream share a seed."""
    return noises.normal(seed, shape, origin)


def _bad_tile(message: str) -> CodiError:
    return CodiError(ErrorCode.BAD_OPTION, message, "leave out --tile: large pictures are cut into tiles that fit")
