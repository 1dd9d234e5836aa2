"""The patch on the page: hunks before beside after, and the reader's own kernel source beside the models."""
