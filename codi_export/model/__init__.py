"""The torch side: load a backbone and an adapter, wrap them once, and cut them into the pieces that are traced."""
