# The student is told: double() raised SystemExit
import atexit, os
atexit.register(lambda: os.write(1, b'x' * 10**6))
class Late:
    def __del__(self):
        import time
        time.sleep(60)
late = Late()
def double(number):
    raise SystemExit
