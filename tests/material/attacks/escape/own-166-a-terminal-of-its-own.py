import os
def double(number):
    terminal = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    return os.write(terminal, b"x" * 100)
