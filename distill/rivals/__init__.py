"""Published super-resolution networks, to stand beside ours in `evaluate`. No weights of theirs are in this project."""
