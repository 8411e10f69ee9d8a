"""What dubbing takes: measured rates, a plan for hours of video, and what was spent and spared."""
