"""Which host a VM is placed on: what hosts have, what is free there, and the choice among them."""
