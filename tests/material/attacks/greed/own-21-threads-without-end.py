# The student is told: raised RuntimeError
import threading, time, os
def double(number):
    for _ in range(5):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    os._exit(7)
