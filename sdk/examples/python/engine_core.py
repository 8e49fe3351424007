"""A stand-in for engine-core: it runs a pipeline's database steps and knows its connector by the interface only.

    python3 engine_core.py postgresql://app:secret@127.0.0.1:5432/loyalty C-1001
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Sequence

from engine_db_postgres import (AsyncDatabaseConnector, ConnectionConfig, DatabaseConnector, DatabaseError,
                                PostgresAsyncConnector, PostgresSyncConnector, Result, currentdatetime)

# What earlier steps have put out, by the step's name.
Outputs = Dict[str, Dict[str, Any]]


@dataclass(frozen=True)
class SqlStep:
    """A step with operation executeSql."""

    name: str
    query: str
    parameters: Callable[[Outputs], Sequence[Any]]
    response: Dict[str, Callable[[Result], Any]] = field(default_factory=dict)

    def output(self, result: Result) -> Dict[str, Any]:
        """What later steps see of its result."""
        return {name: read(result) for name, read in self.response.items()}


class Engine:
    """Runs steps one after the other, all in one transaction."""

    def __init__(self, connector: DatabaseConnector) -> None:
        self._connector = connector

    def run(self, steps: Sequence[SqlStep], outputs: Outputs) -> Outputs:
        self._connector.connect()
        self._connector.begin()
        try:
            for step in steps:
                outputs[step.name] = step.output(self._connector.execute(step.query, step.parameters(outputs)))
        except DatabaseError:
            self._connector.rollback()
            raise
        self._connector.commit()
        return outputs


class AsyncEngine:
    """The same, for asyncio."""

    def __init__(self, connector: AsyncDatabaseConnector) -> None:
        self._connector = connector

    async def run(self, steps: Sequence[SqlStep], outputs: Outputs) -> Outputs:
        await self._connector.async_connect()
        await self._connector.async_begin()
        try:
            for step in steps:
                result = await self._connector.async_execute(step.query, step.parameters(outputs))
                outputs[step.name] = step.output(result)
        except DatabaseError:
            await self._connector.async_rollback()
            raise
        await self._connector.async_commit()
        return outputs


LOYALTY: List[SqlStep] = [
    SqlStep(
        name="query-loyalty-score",
        query="SELECT COUNT(*) AS loyaltyScore FROM loyaltyPoints WHERE customer_id = ? AND ORDERDATE BETWEEN ? AND ?"
        " GROUP BY customer_id",
        parameters=lambda outputs: [outputs["receive-customer-kafka"]["customerId"],
                                    outputs["calculate-min-start-date"]["minStartDate"], currentdatetime()],
        # Without quotes, PostgreSQL folds the name to lower case.
        response={"loyaltyScore": lambda result: result.rows[0]["loyaltyscore"] if result.rows else 0}),
]


def main(url: str, customer: str) -> None:
    config = ConnectionConfig.from_url(url)

    def before() -> Outputs:
        return {"receive-customer-kafka": {"customerId": customer},
                "calculate-min-start-date": {"minStartDate": "2020-01-01"}}

    with PostgresSyncConnector(config) as connector:
        print(Engine(connector).run(LOYALTY, before())["query-loyalty-score"])

    async def again() -> None:
        async with PostgresAsyncConnector(config) as async_connector:
            print((await AsyncEngine(async_connector).run(LOYALTY, before()))["query-loyalty-score"])

    asyncio.run(again())


if __name__ == "__main__":
    main(*sys.argv[1:])
