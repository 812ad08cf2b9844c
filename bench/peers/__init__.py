"""What Velocity is measured against: what the machine or a bare library can do, and what a user would pick instead."""
