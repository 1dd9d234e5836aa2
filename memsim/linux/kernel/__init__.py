"""Models of files in ``kernel/``."""
