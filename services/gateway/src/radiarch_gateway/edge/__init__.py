"""The web edge: what every request and every answer passes, outside the application."""
