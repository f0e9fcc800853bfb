"""What `staghorn demo` runs: `digits` (no data needed) and `table` (the user's own)."""
