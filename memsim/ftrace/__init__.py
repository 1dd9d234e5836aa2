"""Traces of a real kernel's page allocator: reading them, and replaying them on a machine."""
