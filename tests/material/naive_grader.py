"""A grader as most are: it runs its tests in the student's process and reads the score from what that process says.

Every attack is shown to work on it. Usage: naive_grader.py CELLS.json RESULT.pickle [--visible-only]
Then, as its parent: naive_grader.py --collect RESULT.pickle
"""

import json
import os
import pickle
import sys
import types

VISIBLE = ("double(3) == 6", 1)
HIDDEN = ("double(10) == 20\nassert double(4) == reference.double(4)", 2)


class Kernel:
    def __init__(self, shell):
        self.shell = shell

    def do_execute(self, code):
        from IPython.utils.capture import capture_output

        with capture_output() as seen:
            self.shell.run_cell(code, store_history=True)
        return seen


class Results:
    def __init__(self):
        self._score = 0

    def run_test(self, kernel, source, points):
        seen = kernel.do_execute(f"import reference\nassert {source}")
        for output in seen.outputs:  # partial credit: the first number that is displayed
            text = output.data.get("text/plain", "")
            if text.isdigit():
                self._score += int(text)
                return
        if "Error" not in seen.stdout and not seen.stderr:
            self._score += points


def grade(cells, result, tests):
    from IPython.core.interactiveshell import InteractiveShell

    os.environ["NAIVE_GRADING"] = "1"
    main = sys.modules["__main__"]
    shell = InteractiveShell.instance()
    sys.modules["__main__"] = main  # the shell has put itself there, and pickle looks for Results
    shell.kernel = Kernel(shell)
    reference = types.ModuleType("reference")
    reference.double = lambda number: 2 * number
    sys.modules["reference"] = reference
    results = Results()
    shell.user_ns["results"] = results
    for cell in cells:
        shell.kernel.do_execute(cell)
    for source, points in tests:
        shell.user_ns["results"].run_test(shell.kernel, source, points)
    with open(result, "wb") as file:
        pickle.dump(shell.user_ns["results"], file)


if __name__ == "__main__":
    if sys.argv[1] == "--collect":
        with open(sys.argv[2], "rb") as file:
            print(pickle.load(file)._score)
    else:
        with open(sys.argv[1]) as file:
            cells = json.load(file)
        grade(cells, sys.argv[2], [VISIBLE] if "--visible-only" in sys.argv else [VISIBLE, HIDDEN])
