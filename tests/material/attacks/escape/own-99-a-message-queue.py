import ctypes
def double(number):
    libc = ctypes.CDLL(None)
    queue = libc.msgget(0, 0o1600)
    if queue >= 0:
        libc.msgctl(queue, 0, None)
    posix = libc.mq_open(b"/memsim-attack", 0o102, 0o600, None)
    if posix >= 0:
        libc.mq_unlink(b"/memsim-attack")
    return int(queue >= 0 or posix >= 0)
