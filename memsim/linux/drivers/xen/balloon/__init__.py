"""The Xen balloon driver: ``drivers/xen/balloon.c``."""
