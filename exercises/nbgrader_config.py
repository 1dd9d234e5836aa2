"""nbgrader's settings for this course; run its commands in this folder."""

c = get_config()  # noqa: F821 (nbgrader runs this file with it)

c.CourseDirectory.course_id = "memsim"
# An untouched answer gives back the dots, which is the type of nothing: "not answered yet".
c.ClearSolutions.code_stub = {"python": "return ...  # your answer"}
c.ClearSolutions.enforce_metadata = True
# Seconds. A check ends by limits of its own; a busy machine must cost no points.
c.ExecutePreprocessor.timeout = 900
c.ExecutePreprocessor.iopub_timeout = 60
c.ExecutePreprocessor.startup_timeout = 300
# Validate lists cells that look at the form of an answer only: they are not known to be right.
c.Validator.failed_warning = (
    "{num_failed} CELL(S) ARE NOT KNOWN TO BE RIGHT. Each says below what is wrong, or that its form is ok and "
    "that it was not judged.\n"
)
