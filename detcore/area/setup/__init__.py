"""What is decided about a detector: the setup file and its sections, and masks as lines for other programs."""
