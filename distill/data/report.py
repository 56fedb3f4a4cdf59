"""What is left out of a source, and why: said once, on stderr, never fatal by itself."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from .decode import Unusable

NAMED = 10  # names in a line; the others are a count


class Report:
    """Skipped pictures by kind of fault, and those that went bad after loading."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.kinds: dict[str, list[str]] = {}
        self.lost: set[str] = set()

    def skip(self, name: str, fault: Unusable) -> None:
        """Left out while loading; told by `lines`."""
        self.kinds.setdefault(fault.kind, []).append(f"{name} ({fault.detail})" if fault.detail else name)

    def lose(self, name: str, fault: Unusable) -> None:
        """Left out from now on; told at once, and once."""
        if name not in self.lost:
            self.lost.add(name)
            say(f"{self.source}: {name} is left out from now on ({fault}); {len(self.lost)} so far")

    @property
    def count(self) -> int:
        """How many were skipped."""
        return sum(map(len, self.kinds.values()))

    def lines(self) -> list[str]:
        """One for each kind: its number and the first names."""
        return [f"{len(names)} {kind}: {shortened(names)}" for kind, names in self.kinds.items()]


def shortened(names: Sequence[str]) -> str:
    """The first NAMED names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def say(text: str) -> None:
    """A warning on stderr that leaves a progress bar whole."""
    tqdm.write(f"warning: {text}", file=sys.stderr)
