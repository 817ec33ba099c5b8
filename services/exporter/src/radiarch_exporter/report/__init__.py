"""The plan report: one content, written as HTML and as PDF."""
