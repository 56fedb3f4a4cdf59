"""The predictor of z_s: the true noise (PREv) or the implied one (DDIM)."""

from . import Experiment, compare, entries

LISTS = ("1", "2", "2 noisy", "4", "4 noisy")  # which predictor wins may depend on the list, so both kinds are asked
EXPERIMENT = Experiment(
    question="Does CoDi sample better in 1, 2 and 4 steps with PREv than with DDIM as its predictor (sr)?",
    entries=entries(("codi", "codi-ddim"), LISTS),
    comparisons=compare("codi", "codi-ddim", LISTS),
)
