"""Operations that create, change, copy and delete VMs, and move them to other groups."""
