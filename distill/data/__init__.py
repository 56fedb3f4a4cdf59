"""Pictures in, training batches out. Everything random comes from a generator that the caller passes."""
