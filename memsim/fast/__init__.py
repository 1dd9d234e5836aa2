"""Shortcuts: each does in bulk what the models in ``memsim.linux`` do step by step, with the same result."""
