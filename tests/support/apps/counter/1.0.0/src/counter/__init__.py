"""Counts its visitors. An app as small as one can be that has something to lose: its count."""
