import os, numpy
def double(number):
    place = os.path.dirname(os.path.dirname(numpy.__file__))
    return len([name for name in os.listdir(place) if not name.startswith("numpy")])
