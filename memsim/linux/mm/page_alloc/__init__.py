"""The buddy allocator: ``mm/page_alloc.c``."""
