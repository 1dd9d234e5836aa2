"""A course on one machine: ``jupyterhub -f exercises/hub/jupyterhub_config.py``, as root.

Whoever has an account on the machine and is in the group ``memsim`` logs in with its password, finds the book
in ``~/book``, and fetches and hands in assignments with nbgrader. Files lie in /srv/memsim, or where
MEMSIM_COURSE says:

- ``exchange/`` assignments on their way, by nbgrader's rules: handed in, they belong to the student;
- ``jupyter/`` nbgrader's settings, for everybody to read;
- ``hub/`` the hub's own: its secret and its database.

The account that MEMSIM_TEACHER names owns the course's folder for exchange from the start. Without it the first
account that releases an assignment does.
"""

import contextlib
import os
import pwd
import shlex
import shutil
import sys
from pathlib import Path

COURSE = Path(os.environ.get("MEMSIM_COURSE", "/srv/memsim"))
BIN = Path(sys.executable).parent

for folder, mode in (("", 0o755), ("exchange", 0o1777), ("jupyter", 0o755), ("hub", 0o700)):
    (COURSE / folder).mkdir(parents=True, exist_ok=True)
    (COURSE / folder).chmod(mode)  # mkdir() leaves out what the umask forbids
# As nbgrader's release_assignment and release_feedback make them: students enter, write and do not list.
EXCHANGE = (("", 0o755), ("outbound", 0o755), ("inbound", 0o2733), ("feedback", 0o711))
if teacher := os.environ.get("MEMSIM_TEACHER"):
    owner = pwd.getpwnam(teacher)
    for folder, mode in EXCHANGE:
        place = COURSE / "exchange" / "memsim" / folder
        refused = f"{place} is not {teacher}'s: look who made it, and remove it"
        with contextlib.suppress(FileExistsError):
            place.mkdir()
        try:  # what is looked at is what is changed: students can write to exchange/, too
            opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            sys.exit(refused)
        if os.fstat(opened).st_uid not in {0, owner.pw_uid}:
            sys.exit(refused)
        os.fchown(opened, owner.pw_uid, owner.pw_gid)
        os.fchmod(opened, mode)
        os.close(opened)
settings = COURSE / "jupyter" / "nbgrader_config.py"
shutil.copyfile(Path(__file__).parent / "nbgrader_config.py", settings)
settings.chmod(0o644)

c = get_config()  # noqa: F821 (JupyterHub runs this file with it)

# Only this machine can connect. What the world sees is a web server with a certificate that passes on to here.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.cookie_secret_file = str(COURSE / "hub" / "cookie_secret")
c.JupyterHub.db_url = f"sqlite:///{COURSE / 'hub' / 'jupyterhub.sqlite'}"
# Written in Python and installed with the rest; JupyterHub's usual one does the same and needs node.
c.ConfigurableHTTPProxy.command = [str(BIN / "configurable-http-proxy")]
c.ConfigurableHTTPProxy.pid_file = str(COURSE / "hub" / "proxy.pid")

# The machine's own accounts and passwords. nbgrader asks the machine, not the notebook, who hands in.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {"memsim"}

# Each student's server runs as that student. This spawner sets no limits: on systemd's machines,
# `systemctl edit user-.slice` with MemoryMax= and TasksMax= does.
c.JupyterHub.spawner_class = "jupyterhub.spawner.LocalProcessSpawner"
c.Spawner.environment = {
    # nbgrader starts alembic and jupyter by name, and looks for its settings here.
    "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
    "JUPYTER_CONFIG_PATH": str(COURSE / "jupyter"),
    "MEMSIM_COURSE": str(COURSE),
}
# The book is copied by the student, not by root, who would follow any link that lies there.
start = f'test -e book || {shlex.quote(sys.executable)} -m memsim book book >/dev/null; exec "$@"'
c.Spawner.cmd = ["sh", "-c", start, "sh", str(BIN / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab/tree/book/00-welcome.ipynb"
c.Spawner.start_timeout = 120
