"""Visits counter every second. A worker: it listens on no port, and is healthy as long as it stays up."""
