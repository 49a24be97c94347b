"""From measurements to a report: verdicts, claims, and the files and screens that show them."""
