"""What is fast, and how fast: measured as ratios, everything in one run. See ``__main__.py``."""
