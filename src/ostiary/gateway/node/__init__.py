"""The agent of a gateway node; a process of its own (`python -m ostiary.gateway.node`)."""
