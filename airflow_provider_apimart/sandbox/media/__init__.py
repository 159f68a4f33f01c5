"""
Public files of the sandbox.

:mod:`.files` stores uploads and renders results on demand with :mod:`.image`, :mod:`.video` and :mod:`.audio`, from the
recipes of :mod:`airflow_provider_apimart.sandbox.service.outputs`.
"""
