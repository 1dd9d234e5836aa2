import os, socket
def double(number):
    here, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return here.sendto(b"the answer", NAMED)
