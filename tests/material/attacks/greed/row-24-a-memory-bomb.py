# The student is told: MemoryError
def double(number):
    return len(bytearray(10**9))
