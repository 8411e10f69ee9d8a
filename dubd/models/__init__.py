"""Model files: which ones an engine loads, where they come from, and where they lie on this machine."""
