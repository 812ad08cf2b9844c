"""Groups, users, permissions and authkeys: who may do what, answered from memory."""
