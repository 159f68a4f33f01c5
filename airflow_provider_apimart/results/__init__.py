"""From temporary result URLs into the user's own storage, for the transfer and for batches alike."""
