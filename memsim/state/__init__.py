"""The state of a kernel, and how a trace watches it."""
