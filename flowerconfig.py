"""Options of Flower, which `celery -A tasks flower --conf=flowerconfig.py` reads by their names.

What is set here is in force over FLOWER_* variables, the command line is in force over this file. Not set here on
purpose, since it is secret or differs by machine; say it by environment variables:

    FLOWER_BASIC_AUTH=user:password          ask for a password; several separated by commas
    FLOWER_AUTH, FLOWER_AUTH_PROVIDER        sign in with an OAuth provider instead (Flower's documentation)
    FLOWER_URL_PREFIX, FLOWER_XHEADERS=true  behind a proxy that ends TLS
    FLOWER_READ_ONLY=false                   let Flower shut workers down, revoke tasks and the like
    FLOWER_UNAUTHENTICATED_API=true          let its API be used without a password

/metrics and /healthcheck answer without a password, always: keep the port to yourself, or behind a proxy.
`broker_api` is for RabbitMQ: for Redis, Flower asks the broker itself for the lengths of the queues.
"""

import os

address = "127.0.0.1"  # others reach it through a proxy that knows who they are
read_only = os.environ.get("FLOWER_READ_ONLY", "true").lower() not in {"0", "false", "no", "off"}

# What is worth keeping is in Celeriac's own history, in Redis; this is a window on the last hours.
persistent = False
max_tasks = 10_000
max_workers = 500
purge_offline_workers = 3600  # seconds; also ends the metrics of nodes that are gone

auto_refresh = True
natural_time = True
tasks_columns = "name,state,args,received,runtime,worker,uuid"  # args are ids: a run, an app
inspect_timeout = 3000.0  # milliseconds; a node may be far away
