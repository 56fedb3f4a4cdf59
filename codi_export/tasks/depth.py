"""Depth to image: inverse depth, near = 255, repeated to three channels."""

from codi_export.spec import TaskSpec

TASK = TaskSpec(name="depth", summary="an inverse depth map (near = 255) to a picture")
