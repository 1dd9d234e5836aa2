import os
def double(number):
    os.utime(NEIGHBOUR)
    return 1
