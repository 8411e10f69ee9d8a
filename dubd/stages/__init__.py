"""What each stage does, whatever engine it runs."""
