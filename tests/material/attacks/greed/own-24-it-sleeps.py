# The student is told: no answer within
import time
def double(number):
    time.sleep(10**6)
