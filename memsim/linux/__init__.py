"""The kernel in miniature: a path below this folder is the kernel's path."""
