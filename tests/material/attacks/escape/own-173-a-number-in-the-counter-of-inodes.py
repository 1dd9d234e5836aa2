import os
def double(number):
    ends = os.pipe()
    return os.fstat(ends[0]).st_ino  # the next one that is made, by whoever it is, has a higher number
