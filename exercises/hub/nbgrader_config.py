"""nbgrader's settings for every student and teacher on the course server."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader runs this file with it)

c.CourseDirectory.course_id = "memsim"
c.Exchange.root = str(Path(os.environ.get("MEMSIM_COURSE", "/srv/memsim")) / "exchange")
# Validate lists cells that look at the form of an answer only: they are not known to be right.
c.Validator.failed_warning = (
    "{num_failed} CELL(S) ARE NOT KNOWN TO BE RIGHT. Each says below what is wrong, or that its form is ok and "
    "that it was not judged.\n"
)
