"""Memory hotplug: ``mm/memory_hotplug.c``."""
