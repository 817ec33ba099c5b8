"""Exporter: a result becomes DICOM RT objects, DVH tables, a picture and a report."""
