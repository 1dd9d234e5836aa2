import os, subprocess
def double(number):
    os.environ["LD_PRELOAD"] = "libc.so.6"
    return int(subprocess.run(["/bin/true"], check=True).returncode == 0)
