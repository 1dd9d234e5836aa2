def double(number):
    return len(open(NEIGHBOUR).read())
