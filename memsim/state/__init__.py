"""What a kernel keeps, and how it is watched."""
