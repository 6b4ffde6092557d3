"""The scenarios of scenarios.txt with psycopg 3. Prints "ok NAME" or "not ok NAME: WHY" for each; arguments are names to leave out."""

import datetime
import decimal
import json
import signal
import sys
import threading
import uuid

import psycopg
from psycopg import sql

SECONDS = 60
scenarios = {}


def scenario(f):
    scenarios[f.__name__.replace("_", "-")] = f
    return f


def connect(**options):
    return psycopg.connect("", **options)  # libpq's environment says where


def want(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r:.300}, want {wanted!r:.300}")


def fails(sqlstate, f, *args):
    try:
        f(*args)
    except psycopg.Error as e:
        want(e.sqlstate, sqlstate)
        return e
    raise AssertionError(f"no error, want {sqlstate}")


def one(conn, query, *args, **options):
    return conn.execute(query, args or None, **options).fetchone()[0]


@scenario
def commit(c):
    c.execute("create table committed(a int)")
    c.execute("insert into committed values (1), (2)")
    c.commit()
    with connect() as other:
        want(one(other, "select count(*) from committed"), 2)


@scenario
def rollback(c):
    c.execute("create table kept(a int)")
    c.commit()
    c.execute("insert into kept values (1)")
    c.rollback()
    want(one(c, "select count(*) from kept"), 0)


@scenario
def savepoint(c):
    c.execute("create temporary table points(a int) on commit drop")
    with c.transaction():
        c.execute("insert into points values (1)")
        try:
            with c.transaction():
                c.execute("insert into points values (2)")
                c.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        with c.transaction():
            c.execute("insert into points values (3)")
        want(c.execute("select a from points order by a").fetchall(), [(1,), (3,)])


@scenario
def error_in_transaction(c):
    c.execute("select 1")
    fails("22012", c.execute, "select 1/0")
    fails("25P02", c.execute, "select 2")
    want(c.info.transaction_status.name, "INERROR")
    c.rollback()
    want(one(c, "select 3"), 3)


@scenario
def error_outside(c):
    c.autocommit = True
    for text, sqlstate in [("selec 1", "42601"), ("select nothing", "42703"), ("select * from nowhere", "42P01")]:
        fails(sqlstate, c.execute, text)
        fails(sqlstate, c.execute, text + " where 1 = %s", (1,))
        want(one(c, "select 1"), 1)
    fails("22P02", c.execute, "select %s::int", ("x",))
    want(one(c, "select %s::int", "7"), 7)


@scenario
def error_fields(c):
    c.execute("create temporary table fields(a int constraint positive check (a > 0), b text primary key)")
    c.commit()
    c.autocommit = True
    e = fails("23514", c.execute, "insert into fields values (%s, 'x')", (-1,))
    want((e.diag.constraint_name, e.diag.table_name, e.diag.severity), ("positive", "fields", "ERROR"))
    c.execute("insert into fields values (1, 'x')")
    e = fails("23505", c.execute, "insert into fields values (1, 'x')")
    want((e.diag.constraint_name, e.diag.message_detail), ("fields_pkey", "Key (b)=(x) already exists."))
    e = fails("42601", c.execute, "select 1 +")
    want(e.diag.statement_position, "11")


@scenario
def unnamed_statements(c):
    c.autocommit = True
    for i in range(500):
        want(c.execute("select %s::int + 1, %s::text", (i, "é" * (i % 50)), prepare=False).fetchone(), (i + 1, "é" * (i % 50)))


@scenario
def named_statements(c):
    c.autocommit = True
    for i in range(300):
        want(one(c, "select %s::int * 2", i, prepare=True), i * 2)
    with c.transaction():
        want(one(c, "select %s::int * 2", 5, prepare=True), 10)


@scenario
def many_named_statements(c):
    c.autocommit = True
    c.prepared_max = 400
    for _ in range(2):
        for i in range(300):
            want(one(c, f"select %s::int + {i}", 1, prepare=True), i + 1)


@scenario
def same_name_two_clients(c):
    with connect(autocommit=True) as other:
        c.autocommit = True
        for i in range(50):  # psycopg calls the first prepared statement of each connection _pg3_0
            want(one(c, "select 'one' || %s::text", str(i), prepare=True), f"one{i}")
            want(one(other, "select 'two' || %s::text", str(i), prepare=True), f"two{i}")


@scenario
def changed_table(c):
    c.autocommit = True
    c.execute("create table changed(a int)")
    c.execute("insert into changed values (1)")
    want(c.execute("select a, 'x' from changed", prepare=True).fetchall(), [(1, "x")])
    with connect(autocommit=True) as other:
        other.execute("alter table changed alter a type text using 'number ' || a")
    try:
        got = c.execute("select a, 'x' from changed", prepare=True).fetchall()
    except psycopg.errors.FeatureNotSupported:  # cached plan must not change result type
        c.execute("deallocate all")
        got = c.execute("select a, 'x' from changed", prepare=False).fetchall()
    want(got, [("number 1", "x")])


@scenario
def pipeline(c):
    c.autocommit = True
    with c.pipeline():
        cursors = [c.execute("select %s::int, repeat('x', 1000)", (i,)) for i in range(1000)]
    want([cur.fetchone()[0] for cur in cursors], list(range(1000)))


@scenario
def pipeline_error(c):
    c.autocommit = True
    c.execute("create table pipelined(a int primary key)")
    try:
        with c.pipeline():
            c.execute("insert into pipelined values (1)")
            c.execute("insert into pipelined values (1)")
            c.execute("insert into pipelined values (2)")
    except psycopg.errors.UniqueViolation:
        pass
    else:
        raise AssertionError("no error")
    want(c.execute("select count(*) from pipelined").fetchone()[0], 0)  # it was one implicit transaction
    with c.pipeline():
        got = c.execute("select 5")
    want(got.fetchone()[0], 5)


@scenario
def copy_in(c):
    c.execute("create table copied(a int, b text)")
    with c.cursor().copy("copy copied from stdin") as copy:
        for i in range(20000):
            copy.write_row((i, "line\tof\\text"))
    c.commit()
    want(c.execute("select count(*), sum(a), min(b) from copied").fetchone(), (20000, 199990000, "line\tof\\text"))


@scenario
def copy_out(c):
    with c.cursor().copy("copy (select i, repeat('y', 100) from generate_series(1, 20000) i) to stdout (format binary)") as copy:
        copy.set_types(["int4", "text"])
        rows = list(copy.rows())
    want((len(rows), rows[0], sum(r[0] for r in rows)), (20000, (1, "y" * 100), 200010000))


@scenario
def copy_fail(c):
    c.execute("create table uncopied(a int)")
    c.commit()

    def stop():
        with c.cursor().copy("copy uncopied from stdin") as copy:
            copy.write_row((1,))
            raise KeyError("no more")

    want("no more" in fails("57014", stop).diag.message_primary, True)
    c.rollback()
    want(one(c, "select count(*) from uncopied"), 0)
    c.commit()

    def bad():
        with c.cursor().copy("copy uncopied from stdin") as copy:
            copy.write(b"1\nx\n")

    fails("22P02", bad)
    c.rollback()
    want(one(c, "select count(*) from uncopied"), 0)


@scenario
def cancel(c):
    c.autocommit = True
    for _ in range(3):
        timer = threading.Timer(0.3, c.cancel)
        timer.start()
        fails("57014", c.execute, "select pg_sleep(50)")
        timer.join()
        want(one(c, "select 1"), 1)
    c.cancel()  # nothing to cancel: nobody is hit
    with connect(autocommit=True) as other:
        want(one(other, "select 2 from pg_sleep(0.2)"), 2)


@scenario
def statement_timeout(c):
    c.execute("set local statement_timeout = '100ms'")
    fails("57014", c.execute, "select pg_sleep(50)")
    c.rollback()
    want(one(c, "select 1 from pg_sleep(0.3)"), 1)


@scenario
def types(c):
    zone = datetime.timezone.utc
    values = [
        ("int2", -32768), ("int4", 2147483647), ("int8", -9223372036854775808), ("float4", 1.5), ("float8", 1e-300),
        ("numeric", decimal.Decimal("12345678901234567890.0123456789")), ("text", "größer ☃ '\"\\"), ("bool", True),
        ("bytea", bytes(range(256))), ("date", datetime.date(2024, 2, 29)),
        ("timestamptz", datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, zone)), ("interval", datetime.timedelta(days=3, seconds=4)),
        ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")), ("int4[]", [1, None, 3]), ("text[]", ["a", 'b"c', "{}", ""]),
    ]
    c.execute("set time zone 'UTC'")
    for binary in (False, True):
        for name, value in values:
            cur = c.cursor(binary=binary)
            want((name, cur.execute(f"select %s::{name}", (value,)).fetchone()[0]), (name, value))
    for name in ("json", "jsonb"):
        want(one(c, f"select %s::{name}", json.dumps({"a": [1, None, "ü"]})), {"a": [1, None, "ü"]})


@scenario
def null(c):
    want(c.execute("select %s::text, %s::int, null", (None, None)).fetchone(), (None, None, None))


@scenario
def large_values(c):
    text = "0123456789abcdef" * (8 << 16)  # 8 MiB
    for prepare in (False, True):
        want(one(c, "select length(%s::text)", text, prepare=prepare), len(text))
        want(one(c, "select %s::text", text, prepare=prepare) == text, True)
        want(one(c, "select %s::bytea", text.encode(), prepare=prepare) == text.encode(), True)


@scenario
def many_rows(c):
    with c.cursor() as cur:
        cur.execute("select i, repeat('z', 50) from generate_series(1, 200000) i")
        want(sum(r[0] for r in cur), 20000100000)


@scenario
def row_counts(c):
    c.execute("create temporary table counted(a int)")
    want(c.execute("insert into counted select generate_series(1, 10)").rowcount, 10)
    want(c.execute("update counted set a = a + 1 where a > %s", (4,)).rowcount, 6)
    want(c.execute("delete from counted where a > 5 returning a").rowcount, 6)
    want(c.execute("delete from counted").statusmessage, "DELETE 4")


@scenario
def notices(c):
    heard = []
    c.add_notice_handler(lambda d: heard.append((d.severity, d.message_primary, d.sqlstate)))
    c.execute("do $$ begin raise notice 'hello %', 1; raise warning 'mind'; end $$")
    want(heard, [("NOTICE", "hello 1", "00000"), ("WARNING", "mind", "01000")])


@scenario
def cursor(c):
    with c.cursor("walk", scrollable=True) as cur:
        cur.itersize = 100
        cur.execute("select i from generate_series(1, 1000) i")
        want(sum(r[0] for r in cur), 500500)
        cur.scroll(10, mode="absolute")
        want(cur.fetchone(), (11,))
    c.commit()
    with c.transaction(), c.cursor("second") as cur:
        cur.execute("select %s::int", (4,))
        want(cur.fetchall(), [(4,)])


@scenario
def set_local(c):
    before = one(c, "show work_mem")
    c.execute("set local work_mem = '5MB'")
    want(one(c, "show work_mem"), "5MB")
    c.commit()
    want(one(c, "show work_mem"), before)


@scenario
def set_session(c):
    c.autocommit = True
    c.execute("create schema if not exists elsewhere")
    c.execute("set search_path = elsewhere, public")
    c.execute("select set_config('compat.name', 'mine', false)")
    with connect(autocommit=True) as other:
        for _ in range(20):
            want(one(other, "select current_setting('compat.name', true)") in (None, ""), True)
            want(one(other, "show search_path"), '"$user", public')
            want(c.execute("select current_setting('compat.name'), current_schema").fetchone(), ("mine", "elsewhere"))


@scenario
def listen(c):
    c.autocommit = True
    c.execute("listen compat_channel")
    with connect(autocommit=True) as other:
        other.execute("notify compat_channel, 'first'")
        other.execute("select pg_notify('compat_channel', 'second')")
    got = []
    for n in c.notifies():
        got.append((n.channel, n.payload))
        if len(got) == 2:
            break
    want(got, [("compat_channel", "first"), ("compat_channel", "second")])
    c.execute("unlisten *")


@scenario
def advisory_lock(c):
    c.autocommit = True
    c.execute("select pg_advisory_lock(4711)")
    with connect(autocommit=True) as other:
        for _ in range(10):
            want(one(c, "select 1"), 1)
            want(one(other, "select pg_try_advisory_lock(4711)"), False)
        want(one(c, "select pg_advisory_unlock(4711)"), True)
        want(one(other, "select pg_try_advisory_lock(4711)"), True)


@scenario
def temporary_table(c):
    c.autocommit = True
    c.execute("create temporary table mine(a int)")
    with connect(autocommit=True) as other:
        for i in range(10):
            c.execute("insert into mine values (%s)", (i,))
            fails("42P01", other.execute, "select * from mine")
    want(one(c, "select count(*) from mine"), 10)


@scenario
def several_statements(c):
    cur = c.execute("select 1; create temporary table several(a int) on commit drop; insert into several values (1), (2); select 4")
    want(cur.fetchall(), [(1,)])
    cur.nextset(), cur.nextset()
    want(cur.rowcount, 2)
    cur.nextset()
    want((cur.fetchall(), cur.nextset()), ([(4,)], None))


@scenario
def empty_query(c):
    want(c.execute("").pgresult.status, psycopg.pq.ExecStatus.EMPTY_QUERY)
    want(c.execute(sql.SQL(""), (), prepare=True).pgresult.status, psycopg.pq.ExecStatus.EMPTY_QUERY)
    want(one(c, "select 1"), 1)


@scenario
def transfers(c):
    c.execute("create table accounts(id int primary key, balance int)")
    c.execute("insert into accounts select i, 100 from generate_series(0, 9) i")
    c.commit()
    errors = []

    def work(seed):
        try:
            with connect() as mine:
                for i in range(30):
                    a, b = sorted(((seed + i) % 10, (seed + 3 * i + 1) % 10))
                    mine.execute("update accounts set balance = balance - 1 where id = %s", (a,))
                    mine.execute("update accounts set balance = balance + 1 where id = %s", (b,))
                    mine.rollback() if i % 7 == 6 else mine.commit()
        except Exception as e:
            errors.append(repr(e))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    want(errors, [])
    want(one(c, "select sum(balance) from accounts"), 1000)


def late(*_):
    raise TimeoutError(f"not done after {SECONDS} s")


def main():
    signal.signal(signal.SIGALRM, late)
    for name, play in scenarios.items():
        if name in sys.argv[1:]:
            continue
        try:
            signal.alarm(SECONDS)
            c = connect()
            try:
                play(c)
            finally:
                c.close()
            print("ok", name, flush=True)
        except Exception as e:
            print(f"not ok {name}: {type(e).__name__}: {' '.join(str(e).split())}", flush=True)
        finally:
            signal.alarm(0)


main()
