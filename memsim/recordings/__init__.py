"""Recordings of real kernels: their format, their data, and the comparison with the simulator."""
