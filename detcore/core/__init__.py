"""The part of detcore that knows no instrument: sources, reductions, execution, live state."""
