"""One stage against two: CoDi beside guided distillation and consistency models, after and before finetuning."""

from . import Comparison, Entry, Experiment, entries

LISTS = {"gd-ii": ("1", "2 even", "4 even"), "cm-ii": ("1", "2", "4"), "gd-i": ("1", "2 even", "4 even")}
TASKS = ("", "depth-")

# Guided distillation has been halved to four steps and is asked for those: at fewer it would need further halvings.
# Each arm has the list that its own training leads to.
EXPERIMENT = Experiment(
    question="Is CoDi in one stage as good in 4 steps as two stages of the same budget (sr and depth)?",
    entries=tuple(
        entry
        for task in TASKS
        for arm, lists in (("codi", ("1", "2", "4")), *LISTS.items())
        for entry in entries((task + arm,), lists)
    ),
    comparisons=tuple(
        Comparison(Entry(f"{task}codi", "4"), Entry(task + arm, lists[-1]))
        for task in TASKS
        for arm, lists in LISTS.items()
    ),
)
