"""Drawing: maps, figures and HTML."""
