"""The repository that `celeriac init` writes: two apps that run as they are and show what people need first."""

from __future__ import annotations

_HELLO = """\
# What should run. Change it, commit, push: Celeriac makes it so.
# Every field: celeriac schema · Check before you push: celeriac validate .
name: hello
version: "1.17.0"            # quoted: 1.10 would be a number
description: Says hello over HTTP

source:
  package: six               # any package on the index; git and release are the other types

run:
  command: [python, -m, http.server, "8080", --bind, 127.0.0.1]

env:
  GREETING: hello

health:
  port: 8080
  path: /
  interval: 10s
"""

_GREETER = """\
name: greeter
version: "1.17.0"
description: Starts when hello is healthy, and not before

source:
  package: six

run:
  processes:                 # one app, two processes
    web: [python, -m, http.server, "8081", --bind, 127.0.0.1]
    worker: [python, -c, "import time; print('working', flush=True); time.sleep(10**9)"]

depends_on: [hello]

health:
  type: tcp
  port: 8081
"""

_README = """\
# What runs on our machines

One folder per app below `apps/`; `app.yaml` in it says what should run. Celeriac keeps the machines in agreement
with the main branch.

| to | do |
| --- | --- |
| add an app | `apps/NAME/app.yaml`, commit, push |
| upgrade one | change `version`, commit, push |
| remove one | delete its folder, commit, push |
| undo | `git revert`, push |
| check before you push | `celeriac validate .` |
| see how it stands | `celeriac status` |

Secrets do not belong here: whoever can read this repository can read them.
"""

_IGNORED = """\
__pycache__/
.venv/
.env
"""

FILES: dict[str, str] = {
    "README.md": _README,
    ".gitignore": _IGNORED,
    "apps/hello/app.yaml": _HELLO,
    "apps/greeter/app.yaml": _GREETER,
}
