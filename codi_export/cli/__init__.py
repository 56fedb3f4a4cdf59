"""The command line: options in, one call, a line out."""
