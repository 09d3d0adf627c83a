"""Checklists that a QA lead can edit, and the judges that answer their criteria."""
