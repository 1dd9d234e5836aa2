"""One machine: booting it, acting on it, checking it, and writing out its files."""
