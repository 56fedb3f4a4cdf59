"""Editing: a photo and an instruction in, the photo with that one change out."""

from codi_export.spec import TaskSpec

TASK = TaskSpec(name="edit", summary="a photo, changed as the prompt says", text=True)
