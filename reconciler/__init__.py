"""Desired and live state become a plan, its steps, their outcomes, and the status. No Celery in here.

The decisions (`planning`, `placement`, `backoff`, `status`, `consequences`) are pure functions over
frozen values; `pull`, `parse`, `diff`, `apply`, `observe` carry them out through the adapters below.
"""
