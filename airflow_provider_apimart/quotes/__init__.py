"""
Quotes: what a request will cost, from APIMart's public prices, before it is sent.

Read :mod:`~airflow_provider_apimart.quotes.quote` first, then
:mod:`~airflow_provider_apimart.quotes.price_list` (prices of one model, read from the route's reply),
:mod:`~airflow_provider_apimart.quotes.variants` (which price a request names),
:mod:`~airflow_provider_apimart.quotes.quote_calculation` (the decision) and
:mod:`~airflow_provider_apimart.quotes.price_book` (where prices come from, and how long they hold).
"""
