"""Floor 3: the kernel's ``mm/``, one module for each of its files that the patch concerns."""
