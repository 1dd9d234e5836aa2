"""Grading: one submission, or a batch of them."""
