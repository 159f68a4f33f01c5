"""
Checks of requests against the descriptions of models, before anything is paid.

:mod:`~airflow_provider_apimart.checks.findings` judges a request, with
:mod:`~airflow_provider_apimart.checks.values` and :mod:`~airflow_provider_apimart.checks.spelling`;
:mod:`~airflow_provider_apimart.checks.known_models` reads and keeps the descriptions;
:mod:`~airflow_provider_apimart.checks.check` reports the findings or refuses the requests. None has I/O.
"""
