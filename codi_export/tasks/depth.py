"""Depth to image: inverse depth, near = 255, repeated to three channels."""

from codi_export.tasks import TaskSpec

TASK = TaskSpec("depth")
