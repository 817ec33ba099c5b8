"""The page at ``/``: for people without a viewer."""
