"""Pools in RADOS pools of a Ceph cluster: each object is an RBD image."""
