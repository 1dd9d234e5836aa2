# The student is told: It raised
def double(number):
    raise [SystemExit, KeyboardInterrupt, GeneratorExit][number % 3]
