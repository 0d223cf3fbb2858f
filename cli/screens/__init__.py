"""What people see: pure functions from the documents of `tasks.api` to rich renderables."""
