"""Devices as data: one TOML file a device, facts with their sources."""
