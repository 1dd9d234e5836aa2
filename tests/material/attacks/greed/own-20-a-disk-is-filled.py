# The student is told: raised OSError
import os
def double(number):
    os.ftruncate(os.memfd_create('disk'), 10**9)
    os.write(os.memfd_create('disk'), b'x' * 10**7)
    os._exit(7)
