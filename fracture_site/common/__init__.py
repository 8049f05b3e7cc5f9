"""Domain-free bottom layer: base model, errors, storage, logs, command base."""
