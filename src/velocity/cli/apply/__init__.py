"""`velocity apply`: an installation as a file says."""
