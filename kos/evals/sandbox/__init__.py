"""A small FHIR server in memory, with invented patients: what an agent's tasks are played in."""
