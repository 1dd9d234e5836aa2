# The student is told: processor time
def double(number):
    while True:
        pass
