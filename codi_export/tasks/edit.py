"""Editing: a photo and an instruction in, the photo with that one change out."""

from codi_export.tasks import TaskSpec

TASK = TaskSpec("edit", text=True)
