"""Scenarios: a machine and what is done to it, and two kernels compared."""
