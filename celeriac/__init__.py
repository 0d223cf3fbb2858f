"""The floor that every other package stands on: settings, errors, child processes, units, logging.

It knows nothing of specs, Redis or Celery and imports none of them.
"""

__version__ = "0.1.0"
