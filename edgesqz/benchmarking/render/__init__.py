"""Show a report to people: one list of columns, and one module for each medium."""
