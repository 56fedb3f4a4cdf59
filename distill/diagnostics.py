"""The figures that tell a failing run from a healthy one while it trains, and the watch that warns by name.

Three signatures: loss of diversity, over-saturation, unsteady training. All pictures are float, in [-1, 1].
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .history import Row

WINDOW = 50  # logged losses in `loss_variance`: enough that its own error, about sqrt(2 / 50), is a fifth of it


def seed_distance(outputs: Tensor) -> float:
    """Root mean square distance, over all pairs of S >= 2 seeds, of what they make of the same inputs:
    [S, B, 3, H, W]."""
    pairs = itertools.combinations(outputs, 2)
    return math.sqrt(torch.stack([(a - b).square().mean() for a, b in pairs]).mean().item())


def data_distance(outputs: Tensor, data: Tensor) -> float:
    """Root mean square distance of outputs [S, B, 3, H, W] to the data [B, 3, H, W].

    Outputs drawn from all that the data may be, given the input, have this equal to `seed_distance`: the data is one
    more draw. A model that answers with the mean has seed_distance 0.
    """
    return math.sqrt((outputs - data).square().mean().item())


def chroma(pictures: Tensor) -> float:
    """Mean over 8 x 8 tiles of max - min over R, G, B of the tile's mean colour, in [0, 1]; grey is 0. [B, 3, H, W].

    Tiles, because in single pixels coloured noise would count as colour.
    """
    tiles = F.avg_pool2d(pictures, 8)
    return float((tiles.amax(1) - tiles.amin(1)).mean()) / 2


def clipped(pictures: Tensor) -> float:
    """The share of values that become 0 or 255 in 8 bits."""
    return float((pictures.abs() > 1 - 1 / 255).float().mean())


def drift(online: nn.Module, average: nn.Module) -> float:
    """|theta - average| / |average|, over what is trained in `online`."""
    pairs = zip(online.parameters(), average.parameters(), strict=True)
    trained = [(p.detach().float(), q.detach().float()) for p, q in pairs if p.requires_grad]
    apart = torch.stack([(p - q.to(p.device)).square().sum() for p, q in trained]).sum()
    size = torch.stack([q.square().sum() for _, q in trained]).sum()
    return math.sqrt(apart.item() / size.item())


def loss_variance(losses: Sequence[float]) -> float:
    """Variance over squared mean: how much the draw of a batch changes the loss, whatever the loss's scale."""
    mean = sum(losses) / len(losses)
    return sum((loss - mean) ** 2 for loss in losses) / len(losses) / mean**2


def of_pictures(outputs: Tensor, data: Tensor, second: Tensor) -> dict[str, float]:
    """What one validation logs of outputs and data [B, 3, H, W]; `second` holds the first few again, by another
    seed."""
    few = len(second)
    both = torch.stack([outputs[:few], second])
    return {
        "diversity": seed_distance(both),
        "diversity_data": data_distance(both, data[:few]),
        "chroma": chroma(outputs),
        "chroma_data": chroma(data),
        "clipped": clipped(outputs),
        "clipped_data": clipped(data),
    }


def of_history(rows: Sequence[Row]) -> dict[str, float]:
    """What one validation logs of the losses so far: nothing before there are enough."""
    losses = [row["loss"] for row in rows if "loss" in row][-WINDOW:]
    return {"loss_variance": loss_variance(losses)} if len(losses) == WINDOW else {}


@dataclass(frozen=True, slots=True)
class Signature:
    """How a figure's excess is told: the failure's name, what it looks like, the knob to turn."""

    name: str
    looks: str
    knob: str


STEADY = "unsteady training"
DESATURATE = "lower the upper end of [method] guidance, or raise weight, which pulls towards the data"
SIGNATURES = {
    "diversity": Signature(
        "loss of diversity",
        "two seeds give nearly the same picture",
        "lower [method] weight, which pulls towards the mean, or set ode_model to teacher",
    ),
    "chroma": Signature(
        "over-saturation",
        "colours are stronger than the data's",
        DESATURATE,
    ),
    "clipped": Signature(
        "over-saturation",
        "more values are black or white than in the data",
        DESATURATE,
    ),
    "loss_variance": Signature(
        STEADY,
        "the loss jumps by more than its own size, so that progress is slow",
        "raise [train] batch_size or accumulate, or lower learning_rate",
    ),
    "drift": Signature(
        STEADY,
        "the target network trails far behind what is trained",
        "lower [train] learning_rate, or lower [method] target_decay so that it follows faster",
    ),
}


@dataclass(frozen=True, slots=True)
class Watch:
    """The limits, and when a figure beyond its limit is worth a warning.

    - `diversity` 0.2 of the distance to the data: of the variance that the input leaves open, the pictures then show
      0.2², a twenty-fifth; a healthy run has 0.4 to 0.6.
    - `chroma` 1.2 times the data's: side by side, a fifth more colour is plain to see; a healthy run has 1.1.
    - `clipped` 0.02 above the data's share: in one value of fifty, detail that the data has is lost; a healthy run
      stays below the data.
    - `loss_variance` 1: the deviation equals the mean, as with an exponential law; a healthy run has 0.04 to 0.25.
    - `drift` 0.25: a quarter of the weights' size; at `mini`'s learning rate, a high one, a healthy run has 0.08.
    - `patience`: this many validations in a row, and the first never counts, when little is learned yet.
    """

    diversity: float = 0.2
    chroma: float = 1.2
    clipped: float = 0.02
    loss_variance: float = 1.0
    drift: float = 0.25
    patience: int = 2

    def limit(self, name: str, row: Row) -> float:
        """Where the figure `name` of a validation row becomes suspicious: `diversity` below, all others above."""
        match name:
            case "diversity":
                return self.diversity * float(row["diversity_data"])
            case "chroma":
                return self.chroma * float(row["chroma_data"])
            case "clipped":
                return self.clipped + float(row["clipped_data"])
        return float(getattr(self, name))

    def new(self, rows: Sequence[Row]) -> dict[str, str]:
        """Warnings by signature that a log, oldest row first, gives reason for and does not hold yet.

        The log is all there is to remember, so a resumed run does not repeat them.
        """
        said = {row["signature"] for row in rows if "warning" in row}
        found: dict[str, str] = {}
        for name, signature in SIGNATURES.items():
            measured = list({row["step"]: row for row in rows if name in row}.values())
            recent = measured[1:][-self.patience :]
            if signature.name in said | set(found) or len(recent) < self.patience:
                continue
            if all(self._beyond(name, row) for row in recent):
                found[signature.name] = self._text(name, recent[-1])
        return found

    def _beyond(self, name: str, row: Row) -> bool:
        excess = float(row[name]) - self.limit(name, row)
        return excess < 0 if name == "diversity" else excess > 0

    def _text(self, name: str, row: Row) -> str:
        signature, limit = SIGNATURES[name], self.limit(name, row)
        return f"{signature.name}: {signature.looks} ({name} {row[name]:.3g}, limit {limit:.3g}); {signature.knob}"
