"""Inpainting: a photo and a mask in; what the mask marks is filled, the rest comes back as it was."""

from codi_export.tasks import TaskSpec

TASK = TaskSpec("inpaint", mask=True)
