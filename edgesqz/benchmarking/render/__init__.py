"""How a report is shown: one list of columns, and a module for each place where it is read."""
