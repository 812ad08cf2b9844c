"""The API, declared once: every operation with its types, its permission and its failures (`registry`)."""
