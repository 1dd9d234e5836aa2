# The student is told: SIGSEGV
import ctypes
def double(number):
    return ctypes.string_at(0)
