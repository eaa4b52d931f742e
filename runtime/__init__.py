"""CPU-bound work on all cores under Trio."""
