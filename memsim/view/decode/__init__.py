"""The decoder of ``struct page`` words."""
