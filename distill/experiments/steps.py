"""Steps against quality, and how far CoDi's are from many steps of what was never distilled."""

from . import Comparison, Entry, Experiment, entries

LISTS = ("1", "2", "4", "8")
REFERENCE = Entry("controlnet", "50")
EXPERIMENT = Experiment(
    question="How near do 1, 2, 4 and 8 steps of CoDi come to 50 DDIM steps of the undistilled ControlNet (sr)?",
    entries=(*entries(("codi",), LISTS), *entries(("controlnet",), ("4 even", "8")), REFERENCE),
    comparisons=tuple(Comparison(Entry("codi", at), REFERENCE) for at in LISTS),
    reference=REFERENCE,
)
