"""Names of plans, jobs and artifacts."""

ID_PATTERN = r"^[0-9a-z]{1,40}$"
"""What an id can look like; nothing else reaches the database."""

NO_NUL = r"^[^\x00]*$"
"""What Postgres keeps as text: everything without a NUL."""
