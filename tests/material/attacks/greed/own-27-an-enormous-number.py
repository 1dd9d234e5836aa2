# The student is told: or a value that cannot be sent
def double(number):
    return 10 ** (10 ** 5)
