"""Files against the model they came from: engine by engine at the output, and layer by layer with the reason of an error."""
