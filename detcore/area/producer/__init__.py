"""Production configurations of the LCLS small-data tools, read as data and written back; never executed."""
