"""Super-resolution: a low-resolution photo in, the same photo four times as wide and high out."""

from codi_export.tasks import TaskSpec

TASK = TaskSpec("sr", scale=4)
