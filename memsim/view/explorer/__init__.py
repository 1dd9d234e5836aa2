"""The explorer: two kernels side by side, moment by moment."""
