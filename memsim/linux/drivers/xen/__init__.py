"""Models of files in ``drivers/xen/``."""
