"""Groups, users, permissions and authkeys: who may do what, decided from memory."""
