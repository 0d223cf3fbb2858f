"""An app of the tests: it says its version, and in its third one that it is ill."""
