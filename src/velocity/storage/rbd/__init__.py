"""Pools that are RADOS pools of a Ceph cluster: each object is an image of RBD."""
