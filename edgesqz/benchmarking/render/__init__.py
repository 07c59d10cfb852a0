"""Format a report for people: one list of columns, and one module per output format."""
