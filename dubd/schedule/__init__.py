"""When and where a task runs."""
