"""The host: the process that serves a hosted app (`run.app: module:callable`), the one part of Celeriac that runs
inside an app's environment.

Standard library only, and it imports nothing of Celeriac outside this folder: it is run by the release's own
interpreter, under a private name (see `__main__`), beside whatever the app brings. Who does what:

    main       puts one process together: code folder, callable, server, gate, control socket; target: the callable
    guest      one hosted app: what the control socket may ask of it, and what it really runs
    control    the Unix socket (mode 0600) that speaks JSON lines
    door       counts requests, holds new ones while suspended: the one place that knows who is in
    asgi, wsgi the gates: the app as the server sees it, with the door before it; lifespan: an ASGI app's own
    codefolder the link that all of the app's code is imported through, so that a release can be changed under it
    importgraph which modules a change concerns, and in which order they are imported. Pure
    plan       what a change will do to what is loaded
    reloader   the change itself, all or nothing; instances: what happens to objects whose classes changed
    hooks      code_change and config_change; environ: the environment file against os.environ
    servers    uvicorn, hypercorn, granian, gunicorn, waitress: whichever the app brings, in this process

Several apps in one process (`isolation: embedded`):

    guests     the shared host process of a node; lodging: one guest in it, from its start until nothing of it runs
    attendant  the small process that stands for a guest under the supervisor
    namespace  a guest's own modules, and its `os.environ`; shared: the distributions that all guests share
    output     what guests print, told apart; guest_servers: servers that can be ended alone; unixsocket: for both ends

Celeriac's side of it is `runtimes.host_client`, `runtimes.hot_reload` and `runtimes.guests`.
"""
