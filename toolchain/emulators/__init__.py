"""Emulators: one file a kind; its name is the `kind` in a target's file."""
