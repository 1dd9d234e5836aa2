# The student is told: The process was ended by a signal
import ctypes
def double(number):
    return ctypes.string_at(0)
