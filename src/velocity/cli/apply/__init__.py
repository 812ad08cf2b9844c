"""`velocity apply`: makes an installation match a file."""
