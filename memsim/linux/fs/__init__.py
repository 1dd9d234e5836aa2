"""Floor 4: /proc and sysfs, the files in which a kernel shows its memory."""
