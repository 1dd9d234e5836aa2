# The student is told: BlockingIOError
import os
def double(number):
    made = [os.fork() for _ in range(3)]
    return 0 if 0 in made else os._exit(7)
