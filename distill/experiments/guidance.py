"""The conditional guidance term, on (lambda = 1) and off (lambda = 0)."""

from . import Experiment, compare, entries

LISTS = ("1", "2", "4")  # the low lists: near the noisy end there is little to saturate
METRICS = ("perceptual", "chroma", "clipped")
EXPERIMENT = Experiment(
    question="Does the guidance term keep CoDi from over-saturation, and is it nearer to the originals (sr)?",
    entries=entries(("codi", "codi-no-guidance"), LISTS),
    comparisons=compare("codi", "codi-no-guidance", LISTS, METRICS),
    metrics=("perceptual", "psnr_db", "chroma", "clipped"),
)
