"""The `celeriac` command: reads and asks through `tasks.api`, decides nothing itself."""
