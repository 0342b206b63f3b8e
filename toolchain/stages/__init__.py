"""Stages: Keras -> Keras. One file each; its name is the name in a recipe."""
