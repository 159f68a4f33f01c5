"""Report the cost of batches by DAG and day, from their ledgers."""

import json
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path


def costs(folder: Path) -> dict[tuple[str, str], Decimal]:
    """Return US dollars by DAG and by day of completion in UTC."""
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for ledger in folder.glob("*.ledger.jsonl"):
        dag_id = ledger.name.split(".")[0]
        for line in ledger.read_text().splitlines():
            item = json.loads(line, parse_float=Decimal)
            # An item whose request changed has earlier generations, which were paid for too.
            for paid in (item, *item["earlier"]):
                if paid.get("cost") is not None:
                    totals[dag_id, (paid.get("completed") or "unknown")[:10]] += paid["cost"]
    return dict(totals)


if __name__ == "__main__":
    for (dag_id, day), dollars in sorted(costs(Path(sys.argv[1])).items()):
        print(f"{day}  {dag_id:<40}  ${dollars:.2f}")
