"""The grading file of a small assignment: one question with arguments, one with the student's own numbers."""

from memsim.grading import Assignment, Question


def twice(rng, mine):
    """Any number is doubled."""
    number = rng.randrange(100, 10**6)
    return None if (yield [number]) == 2 * number else "It is not twice the number."


def own_number(rng, mine):
    """The student's own number is squared."""
    return None if (yield []) == mine["number"] ** 2 else f"It is not the square of {mine['number']}."


ASSIGNMENT = Assignment(
    "doubling",
    1,
    [
        Question("double", 1, "compute", int, {twice: 2}),
        Question("square", 1, "trace", int, {own_number: 3}, variant={"number": range(2, 1000)}),
    ],
)
