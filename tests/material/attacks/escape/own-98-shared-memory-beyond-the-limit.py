import ctypes
def double(number):
    libc = ctypes.CDLL(None)
    memory = libc.shmget(0, ctypes.c_size_t(1 << 29), 0o1600)
    if memory >= 0:
        libc.shmctl(memory, 0, None)  # remove it: it would outlive this process
    return int(memory >= 0)
