"""Assignments and questions, and the public checks of a notebook."""
