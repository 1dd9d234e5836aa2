"""The sandbox in which student code runs, and the conversation with it."""
