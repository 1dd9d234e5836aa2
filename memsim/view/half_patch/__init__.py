"""Half a patch: what breaks when hunks are missing."""
