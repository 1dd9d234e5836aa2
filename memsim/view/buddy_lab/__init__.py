"""The buddy lab: allocate and free blocks, and watch them split and merge."""
