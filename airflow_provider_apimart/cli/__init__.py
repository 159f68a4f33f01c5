"""
Commands ``airflow apimart ...``, from Airflow 3.2 on.

Every ``airflow`` command imports :mod:`~airflow_provider_apimart.cli.definition`, which imports no other part of the
provider. Each command is a module: :mod:`~airflow_provider_apimart.cli.models` and
:mod:`~airflow_provider_apimart.cli.doctor`, whose sentences are in :mod:`~airflow_provider_apimart.cli.diagnosis`.
"""
