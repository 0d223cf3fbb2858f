"""Celery's settings, all of them; `tasks.celery` reads them, and so do worker, beat and Flower.

Plain Celery configuration: a deployment may change a value here. What must hold for Celeriac to be correct
says so. Where a value comes from a measurement, docs/production.md has it.
"""

from celeriac.settings import load as _load

_settings = _load()
_prefix = f"{_settings.key_prefix}.celery."

# Longer than any task may take: a message that is not acknowledged by then is delivered again.
_visibility_timeout = 7200

broker_url = _settings.broker_url
result_backend = _settings.broker_url
_transport = {
    "global_keyprefix": _prefix,
    "visibility_timeout": _visibility_timeout,
    "socket_timeout": 5,
    # A Unix socket knows neither.
    **({} if _settings.redis_address.startswith("unix:") else {"socket_connect_timeout": 5, "socket_keepalive": True}),
}
# Without `retry_on_timeout`, since with it many messages are not sent in one round trip; publishing tries again anyway.
broker_transport_options = {**_transport, "unacked_restore_throttle": 1, "health_check_interval": 25}
result_backend_transport_options = {**_transport, "retry_on_timeout": True, "retry_policy": {"timeout": 5.0}}
visibility_timeout = _visibility_timeout
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 5.0
redis_socket_keepalive = not _settings.redis_address.startswith("unix:")
redis_retry_on_timeout = True
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # for ever: Redis comes back

# JSON only: nothing that is read from Redis may run code.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"

# Results are kept of `sync` alone; what happens to an app is in its events and its history.
task_ignore_result = True
result_expires = 86400
result_failure_expires = 86400
task_track_started = False

# A message is taken when there is somebody to do it, and acknowledged when it is done.
worker_prefetch_multiplier = 1
worker_disable_prefetch = True
task_acks_late = True
task_retry_on_worker_lost = True
task_reject_on_worker_lost = False
worker_cancel_long_running_tasks_on_connection_loss = False
task_publish_retry = True
task_publish_retry_policy = {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1.0}

# What Flower shows.
worker_send_task_events = True
task_send_sent_event = False
worker_enable_remote_control = True

task_default_queue = "ctl"
task_create_missing_queues = True
timezone = "UTC"
enable_utc = True

# On TERM (with REMAP_SIGTERM=SIGQUIT) steps may finish for so long, then they are given back.
worker_soft_shutdown_timeout = 90.0
worker_enable_soft_shutdown_on_idle = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_proc_alive_timeout = 30.0
worker_max_tasks_per_child = 5000

# Ticks count so long at least: the clock of beat's machine may differ from that of Redis by less.
_tick = 60.0
beat_max_loop_interval = 1.0
beat_schedule = {
    # Is there a new commit? An idle tick is one `git ls-remote`.
    "sync": {
        "task": "sync",
        "schedule": _settings.interval,
        "args": ("beat",),
        "options": {"queue": "ctl", "expires": max(_settings.interval, _tick), "ignore_result": True},
    },
    # What did lost messages and lost workers leave behind? Which node should look at what it runs?
    "sweep": {
        "task": "sweep",
        "schedule": _settings.sweep_interval,
        "options": {"queue": "ctl", "expires": max(_settings.sweep_interval, _tick), "ignore_result": True},
    },
}
