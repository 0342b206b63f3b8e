"""Exports: Keras -> a deployable file. One file each; its name is the name in a recipe."""
