"""Models of files in ``drivers/virtio/``."""
