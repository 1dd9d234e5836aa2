"""Memory block devices: ``drivers/base/memory.c``."""
