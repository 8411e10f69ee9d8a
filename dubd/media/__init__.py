"""The material: picture, sound, time."""
