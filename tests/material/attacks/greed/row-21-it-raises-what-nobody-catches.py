# The student is told: double() raised
def double(number):
    raise [SystemExit, KeyboardInterrupt, GeneratorExit][number % 3]
