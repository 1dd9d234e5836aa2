# The student is told: printed more than
def double(number):
    for _ in range(50):
        print('x' * 10**6)
    return 0
