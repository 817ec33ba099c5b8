"""Rules: which studies are planned without being asked for, and how."""
