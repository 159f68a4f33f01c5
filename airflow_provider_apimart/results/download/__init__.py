"""
Downloads of results from foreign hosts.

Read ``download`` first, the loop that resumes until a file is whole. ``client`` sends the requests,
``address_policy`` says to which addresses, ``response_head`` reads what a reply announces, ``incoming_file`` judges
and counts what arrives, and ``limits`` holds every limit of size and time.
"""
