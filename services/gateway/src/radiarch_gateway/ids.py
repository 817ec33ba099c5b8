"""Names of plans, jobs and artifacts."""

ID_PATTERN = r"^[0-9a-z]{1,40}$"
"""What an id can look like; nothing else reaches the database."""
