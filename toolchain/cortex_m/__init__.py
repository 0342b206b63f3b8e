"""A C package on an emulated Cortex-M, read in the order `cores`, `image`, `unicorn_machine` and `qemu_machine`, `execution`."""
