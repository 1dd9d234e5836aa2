# The student is told: cannot be read
def double(number):
    return [0] * 10**6
