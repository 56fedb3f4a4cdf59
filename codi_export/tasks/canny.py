"""Canny edges to image: white edges on black, repeated to three channels."""

from codi_export.spec import TaskSpec

TASK = TaskSpec(name="canny", summary="an edge map (edge = 255) to a picture")
