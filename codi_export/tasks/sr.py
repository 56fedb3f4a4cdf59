"""Super-resolution: a low-resolution photo in, the same photo four times as wide and high out."""

from codi_export.spec import TaskSpec

TASK = TaskSpec(name="sr", summary="a photo, four times as wide and as high", scale=4)
