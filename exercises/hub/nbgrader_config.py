"""nbgrader's settings for every student and teacher on the course server."""

import os
from pathlib import Path

c = get_config()  # noqa: F821 (nbgrader runs this file with it)

c.CourseDirectory.course_id = "memsim"
c.Exchange.root = str(Path(os.environ.get("MEMSIM_COURSE", "/srv/memsim")) / "exchange")
