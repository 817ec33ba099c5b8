"""Alembic migrations, run when the gateway starts."""
