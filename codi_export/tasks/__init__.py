"""One `TaskSpec` a file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a task takes and makes. `scale` is output pixels per input pixel, along each side.

    `mask`: a second input says what to fill; the rest of the picture comes back as it was. `text`: each call has a
    prompt of its own, an instruction, instead of one that is built in.
    """

    name: str
    scale: int = 1
    prompt: str = ""
    mask: bool = False
    text: bool = False

    @property
    def condition_channels(self) -> int:
        """Red, green, blue, and the mask."""
        return 4 if self.mask else 3
