"""Inpainting: a photo and a mask in; what the mask marks is filled, the rest comes back as it was."""

from codi_export.spec import TaskSpec

TASK = TaskSpec(name="inpaint", summary="a photo with what the mask marks (255) filled in", mask=True)
