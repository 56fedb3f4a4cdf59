"""A task that nothing was tuned for: drawings, with depth's settings."""

from . import Comparison, Entry, Experiment, entries

LISTS = ("1", "2", "2 noisy", "4", "4 noisy")
EXPERIMENT = Experiment(
    question="Do the settings of depth carry over, untouched, to drawings: do more steps still help (sketch)?",
    entries=entries(("sketch-codi", "depth-codi"), LISTS),
    comparisons=tuple(Comparison(Entry("sketch-codi", at), Entry("sketch-codi", "1")) for at in LISTS[1:]),
    metrics=("perceptual", "psnr_db", "chroma", "clipped"),
)
