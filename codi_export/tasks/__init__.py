"""One `TaskSpec` a file."""
