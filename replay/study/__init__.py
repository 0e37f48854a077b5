"""Studies: what a set of tasks says of models, retrieval and gate. Pure: values in, numbers out."""
