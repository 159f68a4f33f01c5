"""Behaviour of Airflow that differs between its versions, compared with the version that runs."""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, int]


def running_version() -> Version:
    """Return major and minor number of the Airflow that runs."""
    import airflow

    major, minor = airflow.__version__.split(".")[:2]
    return int(major), int(minor)


@dataclass(frozen=True)
class VersionedBehaviour:
    """
    A behaviour that a range of versions has.

    :param before: The first version that no longer has it.
    :param since: The first version that has it.
    """

    before: Version
    since: Version = (2, 11)

    @property
    def is_present(self) -> bool:
        """Whether the Airflow that runs behaves like this."""
        return self.since <= running_version() < self.before


#: An XCom of ``None`` is answered with 422 (apache/airflow#55062).
REFUSES_NONE_IN_XCOM = VersionedBehaviour(since=(3, 0), before=(3, 1))

#: The values in the extra of an asset alias's event are put into a set when the task ends, so a value that cannot be
#: hashed fails a task that has succeeded.
HASHES_ALIAS_EXTRA = VersionedBehaviour(before=(3, 2))

#: The web server asks the link of a task instance, which then has to be in XCom. Later, the worker asks.
WEB_SERVER_READS_LINKS = VersionedBehaviour(before=(3, 0))

#: The page of a task instance's XComs does not show URLs as links.
SHOWS_URLS_AS_TEXT = VersionedBehaviour(before=(3, 1))

#: Airflow's interface has no place for the pages of a plugin.
HAS_NO_PAGES = VersionedBehaviour(before=(3, 1))
