"""detcore: streaming reductions for detector data."""
