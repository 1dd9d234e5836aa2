"""Put the grader's feedback pages where ``nbgrader release_feedback`` takes them.

``python return_feedback.py one-block``, in the folder of the course, after ``nbgrader collect one-block`` and
``python -m memsim grade ... --out graded``. Then ``nbgrader release_feedback one-block`` gives each student
his or her own.
"""

import shutil
import sys
from pathlib import Path

# With these nbgrader finds the submission that a page answers; only its student has the secret.
TICKET = ("timestamp.txt", "submission_secret.txt")


def main(assignment: str, course: Path = Path()) -> list[str]:
    """Return the students whose page was put there."""
    returned = []
    for page in sorted((course / "graded" / "feedback").glob("*.html")):
        submitted = course / "submitted" / page.stem / assignment
        if not all((submitted / name).is_file() for name in TICKET):
            continue  # handed in by another way
        folder = course / "feedback" / page.stem / assignment
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, folder / f"{assignment}.html")
        for name in TICKET:
            shutil.copyfile(submitted / name, folder / name)
        returned.append(page.stem)
    return returned


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ASSIGNMENT, in the folder of the course")
    print(*main(sys.argv[1]))
