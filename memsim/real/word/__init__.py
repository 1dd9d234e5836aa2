"""One word of a page, taken apart into its bits and put together: what ``memsim show --decode`` prints."""
