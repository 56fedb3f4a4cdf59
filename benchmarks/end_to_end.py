"""How long a picture takes from uint8 to uint8: one fused graph beside other ways to run the same weights.

    python -m benchmarks.end_to_end --against torch,compile,components,openvino,optimum

The `sr` bundle of the embedded model at 2 steps, 64 x 64 to 256 x 256 pixels, fp32, on the CPU.
"""

from collections.abc import Sequence

from benchmarks import arms, compare

STEPS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is not there, time, print, save."""
    options, kept = arms.options(__doc__, arguments)
    folder = arms.bundle(kept, [STEPS])
    with arms.opened(folder, STEPS, options.threads, options.against) as (made, missing):
        name = f"sr, {STEPS} steps"
        compare.finish(compare.run("end_to_end", {name: made}, options, {"model": "mini"}, missing), options)


if __name__ == "__main__":
    main()
