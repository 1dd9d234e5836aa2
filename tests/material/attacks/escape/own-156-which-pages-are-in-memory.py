import ctypes, os
def double(number):
    libc = ctypes.CDLL(None)
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
    place = libc.mmap(None, 4096, 1, 2, os.open(os.__file__, os.O_RDONLY), 0)
    seen = ctypes.create_string_buffer(1)
    return int(libc.mincore(ctypes.c_void_p(place), ctypes.c_size_t(4096), seen) == 0)
