"""The other side of devices: hypervisors, and how they answer. No part of the kernel."""
