import asyncio, threading
import engine_db_postgres as edb, pytest
def test_smoke(db, items, config, gateway):
    r = db.execute("SELECT ?::int AS a, ? AS b, now() AS c, '{1,2,NULL}'::int[] d, 1.50::numeric e, '{\"x\":1}'::jsonb f", [5, "héé"])
    print(r.rows, r, r.bound_sql, r.columns)
    db.execute("INSERT INTO items VALUES (?, ?)", [1, "a"])
    with db.transaction():
        db.execute("INSERT INTO items VALUES (?, ?)", [2, "a"])
        with pytest.raises(edb.DatabaseExecutionError):
            with db.transaction():
                db.execute("INSERT INTO items VALUES (?, ?)", [2, "a"])
        db.execute("INSERT INTO items VALUES (?, ?)", [3, "a"])
    assert len(db.execute("SELECT * FROM items")) == 3
    n = 0
    for row in db.execute_stream("SELECT i, 'x'||i AS t FROM generate_series(1,100000) i"): n += 1
    assert n == 100000
    print(db.execute_many("INSERT INTO items VALUES (?, ?)", [(i, str(i)) for i in range(10, 20)])[0].rowcount)
    try: db.execute("SELECT 1 +")
    except edb.DatabaseExecutionError as e: print(e.info)
    async def go():
        async with edb.PostgresAsyncConnector(config, gateway.address) as a:
            print((await a.async_execute("SELECT 1 AS x")).rows)
            rs = await asyncio.gather(*(a.async_execute("SELECT ?::int AS x", [i]) for i in range(1000)))
            assert [r.rows[0]["x"] for r in rs] == list(range(1000))
            n = 0
            async for row in a.async_execute_stream("SELECT i, 'x'||i AS t FROM generate_series(1,100000) i"): n += 1
            assert n == 100000
            async with a.transaction():
                await a.async_execute("INSERT INTO items VALUES (?, ?)", [99, "a"])
    asyncio.run(go())
    print("done")
