"""What is trained and how it steers: the adapter alone, the U-Net too, without distillation; ControlNet and T2I."""

from . import Comparison, Entry, Experiment, compare, entries

LISTS = ("2", "4")
ARMS = ("codi", "codi-full", "controlnet", "codi-narrow", "codi-pixels", "codi-t2i")
EXPERIMENT = Experiment(
    question="What do training the U-Net, distilling, and the adapter's shape each bring, in quality and time (sr)?",
    entries=(*entries(ARMS, LISTS), Entry("controlnet", "2 even"), Entry("controlnet", "4 even")),
    comparisons=(
        *compare("codi-full", "codi", LISTS),
        *compare("codi", "controlnet", LISTS),
        Comparison(Entry("codi", "4"), Entry("controlnet", "4 even")),  # the list that DDIM is at home on
        *compare("codi-narrow", "codi", LISTS),
        *compare("codi-t2i", "codi-pixels", LISTS),  # both read pixels, neither has a trunk
    ),
    latency=True,
)
