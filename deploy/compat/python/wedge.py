"""libpq's pipeline mode against full buffers, by psycopg 3. Arguments: seconds, statements in flight, bytes of each."""

import sys
import time

import psycopg

seconds, in_flight, size = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with psycopg.connect("", autocommit=True) as conn:
    print("connected", flush=True)
    until, batches = time.monotonic() + seconds, 0
    while batches == 0 or time.monotonic() < until:
        batches += 1
        with conn.pipeline():
            cursors = [conn.execute("select %s::int4, %s::text", (i, chr(97 + i % 26) * size)) for i in range(in_flight)]
            for i, cursor in enumerate(cursors):
                if cursor.fetchone() != (i, chr(97 + i % 26) * size):
                    sys.exit(f"answer {i} is that of another statement")
                print("answer", flush=True)
