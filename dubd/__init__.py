"""dubd: drop a video, get it back spoken in another language."""

__version__ = "0.1.0"
