import ctypes, os
def double(number):
    fd = os.open("/", os.O_RDONLY)
    return int(ctypes.CDLL(None).syncfs(fd) == 0)
