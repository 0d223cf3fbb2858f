"""The host: the process that serves a hosted app (`run.app: module:callable`), the one part of Celeriac that runs
inside an app's environment.

Standard library only, and it imports nothing of Celeriac outside this folder: it is run by the release's own
interpreter, under a private name (see `__main__`), beside whatever the app brings. Who does what:

    main       puts one process together: code folder, callable, server, gate, control socket; target: the callable
    guest      one hosted app: what the control socket may ask of it, and what it really runs
    control    the Unix socket (mode 0600) that speaks JSON lines; may serve several guests
    door       counts requests, holds new ones while suspended: the one place that knows who is in
    asgi, wsgi the gates: the app as the server sees it, with the door before it; lifespan: an ASGI app's own
    codefolder the link that all of the app's code is imported through, so that a release can be changed under it
    importgraph which modules a change concerns, and in which order they are imported. Pure
    plan       what a change will do to what is loaded
    reloader   the change itself, all or nothing; instances: what happens to objects whose classes changed
    hooks      code_change and config_change; environ: the environment file against os.environ
    servers    uvicorn, hypercorn, granian, gunicorn, waitress: whichever the app brings, in this process

Celeriac's side of it is `runtimes.host_client` and `runtimes.hot_reload`.
"""
