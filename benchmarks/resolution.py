"""How time grows with the picture: 128, 256 and 512 pixels in one call, beside torch on the same sizes.

    python -m benchmarks.resolution --against torch,components

The `sr` bundle of the embedded model at 2 steps, fp32, on the CPU.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks import arms, compare
from benchmarks.compare import Arm

SIZES = (128, 256, 512)  # of the output
STEPS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is not there, time, print, save."""
    options, kept = arms.options(__doc__, arguments)
    folders = {size: arms.bundle(kept, [STEPS], size) for size in SIZES}
    with ExitStack() as stack:
        opened = {
            size: stack.enter_context(arms.opened(folder, STEPS, options.threads, options.against))
            for size, folder in folders.items()
        }
        groups = {f"{size} x {size}": made for size, (made, _) in opened.items() if len(made) > 1}
        groups = {"ours": [Arm(f"{size} x {size}", made[0].call) for size, (made, _) in opened.items()], **groups}
        missing = {name: reason for _, absent in opened.values() for name, reason in absent.items()}
        compare.finish(compare.run("resolution", groups, options, {"model": "mini", "steps": STEPS}, missing), options)


if __name__ == "__main__":
    main()
