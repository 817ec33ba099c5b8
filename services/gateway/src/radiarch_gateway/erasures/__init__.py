"""Everything of a plan, a study or a patient, erased."""
