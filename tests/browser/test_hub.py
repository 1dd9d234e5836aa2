"""The course server: two students and a teacher, from an assignment handed out to feedback returned."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import load, solution_copy, source_of

from .hub import OUTSIDER, PASSWORD, machine
from .notebook import PATIENCE_MS, Notebook, Watch

pytestmark = [pytest.mark.browser, pytest.mark.hub, pytest.mark.slow]

EXERCISES = Path("exercises").resolve()
GRADING = EXERCISES / "grading" / "one_block.py"
EXPLORER = ".memsim-explore"
# The proxy in Python does not pass on the browser's choice of a protocol; JupyterLab asks again without.
RETRIED = "Sent non-empty 'Sec-WebSocket-Protocol' header but no response was received"
RELEASE = f"""
mkdir course && cd course
cp -r {EXERCISES}/nbgrader_config.py {EXERCISES}/grading {EXERCISES}/hub .
mkdir source && cp -r {EXERCISES}/source/one-block source
nbgrader generate_assignment one-block
nbgrader release_assignment one-block
"""
GRADE = """
cd course
python hub/collect.py one-block
python -m memsim grade submitted --assignment grading/one_block.py --out graded --due 2100-01-01T00:00+00:00 \
    --collected times-one-block.csv
python hub/return_feedback.py one-block
nbgrader release_feedback one-block
"""
ASK = """async ([method, path, body]) => {
  const token = document.cookie.match(/_xsrf=([^;]+)/)[1];
  const answer = await fetch(path, {method, body, headers: {
    "X-XSRFToken": token, "Content-Type": path.includes("/api/") ? "application/json" :
    "application/x-www-form-urlencoded"}});
  return [answer.status, await answer.text()];
}"""


@dataclass
class Student:
    """Somebody who is logged in, in a browser."""

    name: str
    page: object
    url: str
    token: str = ""  # a cookie opens the door

    def ask(self, method, path, body=None):
        status, text = self.page.evaluate(ASK, [method, f"/user/{self.name}/{path}", body])
        assert status < 400, f"{path}: {text}"
        return text

    def assignment(self, action):
        """Do what a button of nbgrader's list of assignments does, and return the assignments."""
        told = json.loads(
            self.ask("POST", f"assignments/{action}", "assignment_id=one-block&course_id=memsim")
        )
        assert told["success"], told
        return told["value"]


def log_in(course, pages):
    """Log in as users do, on a page each; their servers start at the same time."""
    for name, page in pages.items():
        page.goto(course.url)
        enter(page, name, PASSWORD)
    for name, page in pages.items():
        page.wait_for_url(f"{course.url}/user/{name}/lab/**")
    return [Student(name, page, f"{course.url}/user/{name}/") for name, page in pages.items()]


def enter(page, name, password):
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("[type=submit]")


@pytest.fixture(scope="module")
def course():
    with machine() as running:
        yield running


def teacher(course, script):
    ran = course.run("teacher", "sh", "-ec", script)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran


def moves_a_slider(student, screenshots):
    """Open chapter 1, run it, and see that the explorer follows the keyboard."""
    # The server opens the welcome page by itself, and at a time of its own puts it in front of another.
    student.page.goto("about:blank")
    notebook = Notebook(student.page, student, "book/01-one-block-comes-online.ipynb")
    notebook.run_all()
    assert notebook.errors() == []
    notebook.wait_for_widgets(notebook.widgets())
    text = student.page.locator(f"{EXPLORER} .where").text_content
    before = text()
    notebook.focus(student.page.locator(EXPLORER))
    notebook.press("ArrowRight")
    notebook.wait_until(text, lambda now: now != before, "the explorer does not move")
    student.page.screenshot(path=screenshots / "hub-chapter-1.png")


def hand_in(student, document=None):
    """Fetch the assignment, perhaps solve it, and hand it in."""
    student.assignment("fetch")
    if document:
        body = json.dumps({"type": "notebook", "format": "json", "content": document})
        student.ask("PUT", "api/contents/one-block/one-block.ipynb", body)
    student.assignment("submit")


def feedback(student):
    """Fetch what came back, and return the page."""
    student.assignment("fetch_feedback")
    answer = student.ask("GET", "api/contents/one-block/feedback?content=1")
    (folder,) = json.loads(answer)["content"]
    page = student.ask("GET", f"api/contents/{folder['path']}/one-block.html?content=1&format=text")
    return json.loads(page)["content"]


def test_from_an_assignment_handed_out_to_feedback_returned(course, page, chromium, screenshots):
    watch = Watch(page, course)
    other = chromium.new_context(service_workers="block").new_page()
    other.set_default_timeout(PATIENCE_MS)
    with ThreadPoolExecutor() as pool:
        released = pool.submit(teacher, course, RELEASE)
        ada, bob = log_in(course, {"ada": page, "bob": other})
        moves_a_slider(ada, screenshots)
        released.result()
    hand_in(ada, solution_copy(load(source_of(GRADING))))
    hand_in(bob)
    ran = teacher(course, GRADE)
    points = Assignment.load(GRADING).points

    assert "fence: " in ran.stdout
    assert "cheating attempt" not in ran.stderr  # nbgrader's word for a submission of somebody else
    assert f"{points} of {points}" in feedback(ada)
    assert f"0 of {points}" in feedback(bob)
    assert "It was handed in on time." in feedback(ada)
    watch.complaints = [text for text in watch.complaints if RETRIED not in text]
    watch.assert_clean()
    nobody_sees_what_is_not_his(course)
    other.context.close()


def nobody_sees_what_is_not_his(course):
    """Bob may neither read what others keep, nor list what was handed in, nor put himself in its place."""
    exchange = course.folder / "course" / "exchange" / "memsim"
    files = (
        course.home("ada") / "one-block" / "one-block.ipynb",
        course.home("teacher") / "course" / "grading" / "one_block.py",
        course.folder / "course" / "hub" / "jupyterhub.sqlite",
    )
    assert [path for path in files if not path.is_file()] == []
    assert course.run("bob", "cat", str(course.home("bob") / "one-block" / "one-block.ipynb")).returncode == 0
    seen = [path for path in files if course.run("bob", "cat", str(path)).returncode == 0]
    assert seen == []
    # What lies in there can be read by whoever knows its name, of which twelve letters are random.
    assert course.run("bob", "ls", str(exchange / "inbound")).returncode != 0
    assert course.run("bob", "mv", str(exchange), f"{exchange}-gone").returncode != 0
    assert exchange.is_dir()


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), (OUTSIDER, PASSWORD)])
def test_a_wrong_password_and_an_account_outside_the_course_are_refused(name, password, course, page):
    page.goto(f"{course.url}/hub/login")
    enter(page, name, password)

    page.get_by_text("Invalid username or password").wait_for()
