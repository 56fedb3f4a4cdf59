"""Training: CoDi adapters (arXiv 2310.01407) and the small backbone that ships with the package."""

from .run import train_adapter

__all__ = ["train_adapter"]
