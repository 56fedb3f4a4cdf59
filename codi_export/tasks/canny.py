"""Canny edges to image: white edges on black, repeated to three channels."""

from codi_export.tasks import TaskSpec

TASK = TaskSpec("canny")
