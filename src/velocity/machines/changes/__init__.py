"""Operations that create, change, copy, group and delete VMs."""
