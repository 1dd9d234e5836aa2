"""Everything that a batch writes besides its results: feedback, tables, similarity, and the report.

All of it is made from the results each time, so that it is never older than they are.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memsim.grading.assignment.course import code_of, load, student_copy
from memsim.grading.report import feedback, tables
from memsim.grading.report.results import write, write_json
from memsim.grading.report.similarity import alike
from memsim.grading.run.notebook import UnreadableError, read, sources
from memsim.grading.run.submissions import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from memsim.grading.report.late import Policy
    from memsim.grading.report.results import Result
    from memsim.grading.run.submissions import Handed


def write_all(
    out: Path, results: Sequence[Result], report: Mapping[str, Any], policy: Policy | None = None
) -> None:
    """Write feedback, tables and the report."""
    for result in results:
        name = file_name(result.student)
        write(out / "feedback" / f"{name}.html", feedback.page(result, policy))
        write_json(out / "gradescope" / name / "results.json", tables.gradescope(result, policy))
    write(out / "grades.csv", tables.grades(results, policy))
    write(out / "canvas.csv", tables.canvas(results, policy))
    write(out / "moodle.csv", tables.moodle(results, policy))
    write_json(out / "report.json", dict(report))


def write_similar(out: Path, handed: Sequence[Handed], source: Path | None) -> int:
    """Write which submissions are alike, and return how many pairs are.

    ``source`` is the source notebook: what it gives to all students is no sign of copying.
    """
    code = {}
    for one in handed:
        with contextlib.suppress(UnreadableError):
            code[one.student] = sources(read(one.path), one.path.name).code
    starter = code_of(student_copy(load(source))) if source else []
    pairs = [asdict(pair) for pair in alike(code, starter)]
    write_json(out / "similar.json", pairs)
    return len(pairs)
