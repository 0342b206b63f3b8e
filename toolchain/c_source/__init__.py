"""An int8 .tflite as a C99 package: read in the order `graph`, the operators, `arena`, `program`, `package`."""
