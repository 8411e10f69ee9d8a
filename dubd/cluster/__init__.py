"""Past one machine: the same tasks on the nodes of a Ray cluster. Nothing here is imported before it is asked for."""
