"""The hook: the authenticated connection to APIMart. Read ``apimart`` first, then ``connection``."""
