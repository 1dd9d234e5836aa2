"""Models of files in ``drivers/hv/``."""
