"""What runs inside the fence, next to the student's code; it imports nothing but the standard library.

Nothing here is secret and nothing here decides: whoever runs in the same process can change all of it, and
gets nothing from it but another answer of his or her own.
"""
