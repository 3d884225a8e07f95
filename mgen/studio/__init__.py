"""The studio: a local page where a run's controls are turned and heard at once."""
