"""Ostiary: an authorization server and API gateway for users who live somewhere else."""
