"""Errors a user can act on. The command line prints these without a traceback and exits with 2."""


class ToolchainError(Exception):
    """Base of every expected failure."""


class RecipeError(ToolchainError):
    """The recipe asks for something that does not exist or does not fit together."""


class DataError(ToolchainError):
    """The data set cannot be read, is empty, or does not fit the model."""


class ModelError(ToolchainError):
    """The model file cannot be read, is unsafe to read, or computes nonsense."""


class TargetError(ToolchainError):
    """The target does not exist or its file is wrong."""


class StageError(ToolchainError):
    """A stage or an export cannot do what its recipe asks of this model."""


class DependencyError(ToolchainError):
    """An optional package is missing; the message holds the install command."""


class StorageError(ToolchainError):
    """A file cannot be written: a full disk, a read-only folder, a file that is not ours to overwrite."""


class GuestError(ToolchainError):
    """What runs in an emulator hung, took too much memory, or crashed."""


class BundleError(ToolchainError):
    """A release is not whole, not safe to unpack, or not what its signature says."""
