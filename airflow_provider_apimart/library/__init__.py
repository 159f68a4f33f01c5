"""
Library of results: identical requests that were completed and saved aren't paid for again.

Read ``request_identity`` first (what makes two requests identical), then ``entry`` (what is kept of a result).
``library`` finds entries and writes them, ``reference_content`` knows the content behind the URLs of uploads,
``matching`` says which request is served by which entry, and ``task_library`` is what one task does with all of
it. ``kept_result`` is for tasks with one generation. ``pack`` saves thousands of reads.
"""
