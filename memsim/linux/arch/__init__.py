"""``arch/``: x86-64 only."""
