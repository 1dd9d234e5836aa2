"""Put the grader's feedback pages where ``nbgrader release_feedback`` takes them.

``python return_feedback.py one-block``, in the folder of the course, after ``python hub/collect.py one-block`` and
``python -m memsim grade ... --out graded``. Then ``nbgrader release_feedback one-block`` gives each student
his or her own. Students who get no page are named, with the reason; then the exit status is 1.
"""

import json
import shutil
import sys
from pathlib import Path

from memsim.grading.roster.names import key
from memsim.grading.roster.people import read_roster
from memsim.grading.run.submissions import file_name

# With these nbgrader finds the submission that a page answers; only its student has the secret.
TICKET = ("timestamp.txt", "submission_secret.txt")


def main(assignment: str, course: Path = Path()) -> tuple[list[str], dict[str, str]]:
    """Return the students whose page was put there, and why others have none."""
    graded = course / "graded"
    report = json.loads((graded / "report.json").read_text(encoding="utf-8"))
    if report["assignment"] != assignment:
        return [], {"everybody": f"{graded} holds {report['assignment']}, not {assignment}"}
    pages = {key(path.stem): path for path in (graded / "feedback").glob("*.html")}
    returned, missing = [], {}
    for folder in sorted(path for path in (course / "submitted").iterdir() if path.is_dir()):
        submitted, student = folder / assignment, folder.name
        page = pages.get(key(file_name(by_id(graded, student))))
        if not submitted.is_dir():
            continue
        lacking = [name for name in TICKET if not (submitted / name).is_file()]
        if not page or lacking:
            missing[student] = f"its folder has no {lacking[0]}" if page else "there is no page for it"
            continue
        target = course / "feedback" / student / assignment
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, target / f"{assignment}.html")
        for name in TICKET:
            shutil.copyfile(submitted / name, target / name)
        returned.append(student)
    return returned, missing


def by_id(graded: Path, student: str) -> str:
    """Return the roster's id of a login."""
    person = read_roster(graded / "roster.csv").find(student) if (graded / "roster.csv").exists() else None
    return person.id if person else student


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ASSIGNMENT, in the folder of the course")
    with_page, without = main(sys.argv[1])
    print(*with_page)
    if without:
        sys.exit("\n".join(f"{student}: {why}" for student, why in without.items()))
