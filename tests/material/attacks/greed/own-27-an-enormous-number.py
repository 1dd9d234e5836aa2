# The student is told: more than 64 bits
def double(number):
    return 10 ** (10 ** 5)
