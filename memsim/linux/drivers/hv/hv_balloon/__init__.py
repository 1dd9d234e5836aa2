"""The Hyper-V balloon driver: ``drivers/hv/hv_balloon.c``."""
