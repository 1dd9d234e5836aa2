import os
def double(number):
    with open(os.__file__, "rb") as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            return 2  # nobody has
    return 1
