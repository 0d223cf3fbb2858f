"""What the supervisor runs for each process of an app: `python -I -S launch.py <home>/apps/<app> <process> <side>`.

A script is compiled at each start and what it imports is not, so the work is in `runtimes.launching`.
"""

import sys

# An isolated interpreter does not look beside its script by itself.
sys.path.append(__file__.rpartition("/runtimes/")[0])

from runtimes.launching import main

main(*sys.argv[1:4])
