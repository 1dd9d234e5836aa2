"""``drivers/``: memory blocks, and the three drivers that give only part of a memory block to the kernel."""
