"""What each command does. What it needs is imported inside it, so that ``--help`` is quick."""
