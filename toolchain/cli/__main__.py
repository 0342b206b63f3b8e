"""`python -m toolchain.cli` is the command `secateur`."""

from toolchain.cli.app import main

main()
