"""The administrator's command line, on the database itself: for the first account, and for when nobody can log in."""
