"""The virtio-mem driver: ``drivers/virtio/virtio_mem.c``."""
