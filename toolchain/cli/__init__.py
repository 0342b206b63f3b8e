"""The command line: `app` and one file a command."""
