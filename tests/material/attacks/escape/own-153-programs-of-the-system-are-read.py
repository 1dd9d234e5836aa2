def double(number):
    with open("/usr/bin/env", "rb") as program:
        return int(program.read(4) == b"\x7fELF")
