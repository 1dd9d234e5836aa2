"""Source as data: the models, what each hunk changes in them, and the kernel's own functions."""
