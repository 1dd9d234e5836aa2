"""The driver lab: a driver's own state beside the kernel's pages."""
