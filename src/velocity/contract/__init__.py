"""The API, declared once: operations with their types, permissions and failures (`registry` lists them)."""
