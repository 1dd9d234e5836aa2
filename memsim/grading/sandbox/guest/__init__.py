"""What runs inside the fence, next to the student's code; it imports nothing but the standard library.

Nothing here is secret, and nothing here decides: code that runs in the same process can change all of it, and
achieves nothing but a different answer of its own.
"""
