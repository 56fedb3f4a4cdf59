"""`python -m distill`: pretraining."""

from .cli import main

main()
