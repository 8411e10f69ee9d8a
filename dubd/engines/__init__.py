"""How a model does it, one engine a file."""
