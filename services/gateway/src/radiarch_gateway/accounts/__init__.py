"""Clinics, users and API keys, as an administrator sees them."""
