"""The loop over the events of a run: filters, detectors and their functions, set-ups that change meanwhile."""
