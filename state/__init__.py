"""What is known, kept in Redis: every key and every Lua script of Celeriac is in this folder.

The truth about what runs is on the nodes and in Git: losing all of this loses no app and restarts none.
"""
