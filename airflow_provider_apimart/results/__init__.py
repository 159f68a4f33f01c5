"""
Results of generations: from temporary URLs into the user's own storage, for the transfer and for batches alike.

Read ``saver`` first. ``download`` fetches files from foreign hosts, ``storage`` writes them whole, ``media`` says
what may be saved, ``expiry`` when URLs end.
"""
