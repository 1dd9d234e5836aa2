import socket
def double(number):
    socket.create_connection(("127.0.0.1", PORT), 1).sendall(b"the test asks for %d" % number)
    return 0
