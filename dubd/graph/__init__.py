"""What must be made, and is it stale."""
