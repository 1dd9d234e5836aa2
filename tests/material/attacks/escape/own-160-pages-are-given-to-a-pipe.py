import ctypes, os
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
def double(number):
    room = ctypes.create_string_buffer(4096)
    piece = Piece(ctypes.addressof(room), 4096)
    return int(ctypes.CDLL(None).vmsplice(os.pipe()[1], ctypes.byref(piece), ctypes.c_size_t(1), 0) > 0)
