// The scenarios of scenarios.txt with postgres.js, which pipelines whatever it is given. Prints "ok NAME" or "not ok NAME: WHY".
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import postgres from 'postgres'
import { fails, play, sleep, want } from './play.mjs'

// A client with one connection, so that a scenario knows which one it has.
const connect = async (options) => postgres({ max: 1, onnotice: () => {}, fetch_types: false, ...options })

const one = async (sql, text, values = []) => (await sql.unsafe(text, values).values())[0][0]
const all = async (sql, text, values = [], options = {}) => [...(await sql.unsafe(text, values, options).values())]

await play({
  async commit(sql, open) {
    await sql`create table committed(a int)`
    await sql.begin((tx) => tx`insert into committed values (1), (2)`)
    want(await one(await open(), 'select count(*)::int from committed'), 2)
  },
  async rollback(sql) {
    await sql`create table kept(a int)`
    const why = new Error('enough')
    await sql.begin(async (tx) => {
      await tx`insert into kept values (${1})`
      throw why
    }).catch((e) => want(e, why))
    want(await one(sql, 'select count(*)::int from kept'), 0)
  },
  async savepoint(sql) {
    await sql.begin(async (tx) => {
      await tx`create temporary table points(a int) on commit drop`
      await tx`insert into points values (1)`
      await fails('22012', tx.savepoint(async (s) => {
        await s`insert into points values (2)`
        await s`select 1/0`
      }))
      await tx.savepoint((s) => s`insert into points values (3)`)
      want(await all(tx, 'select a from points order by a'), [[1], [3]])
    })
  },
  async 'error-in-transaction'(sql) {
    await fails('22012', sql.begin(async (tx) => {
      const first = tx`select 1/${0}::int`
      const second = tx`select ${2}::int`
      await fails('25P02', Promise.all([first.catch(() => {}), second]))
      await first
    }))
    want(await one(sql, 'select 3'), 3)
  },
  async 'error-outside'(sql) {
    for (const [text, sqlstate] of [['selec 1', '42601'], ['select nothing', '42703'], ['select * from nowhere', '42P01']]) {
      await fails(sqlstate, sql.unsafe(text))
      await fails(sqlstate, sql.unsafe(text + ' where 1 = $1', [1]))
      want(await one(sql, 'select 1'), 1)
    }
    await fails('22P02', sql`select ${'x'}::text::int`)
    want(await one(sql, 'select $1::text::int', ['7']), 7)
  },
  async 'error-fields'(sql) {
    await sql`create temporary table fields(a int constraint positive check (a > 0), b text primary key)`
    let e = await fails('23514', sql`insert into fields values (${-1}, 'x')`)
    want([e.constraint_name, e.table_name, e.severity], ['positive', 'fields', 'ERROR'])
    await sql`insert into fields values (1, 'x')`
    e = await fails('23505', sql`insert into fields values (1, 'x')`)
    want([e.constraint_name, e.detail], ['fields_pkey', 'Key (b)=(x) already exists.'])
    want((await fails('42601', sql`select 1 +`)).position, '11')
  },
  async 'unnamed-statements'(_, open) {
    const sql = await open({ prepare: false })
    for (let i = 0; i < 500; i++) {
      want([...(await sql`select ${i}::int + 1, ${'é'.repeat(i % 50)}::text`.values())], [[i + 1, 'é'.repeat(i % 50)]])
    }
  },
  async 'named-statements'(sql) {
    for (let i = 0; i < 300; i++) want([...(await sql`select ${i}::int * 2`.values())], [[i * 2]])
    await sql.begin(async (tx) => want([...(await tx`select ${5}::int * 2`.values())], [[10]]))
  },
  async 'many-named-statements'(sql) {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) want(await all(sql, `select $1::int + ${i}`, [1], { prepare: true }), [[i + 1]])
    }
  },
  async 'same-name-two-clients'(sql, open) {
    const other = await open()
    for (let i = 0; i < 50; i++) {
      want([...(await sql`select 'one' || ${i}::int`.values())], [['one' + i]])
      want([...(await other`select 'two' || ${i}::int`.values())], [['two' + i]])
    }
  },
  async 'changed-table'(sql, open) {
    await sql`create table changed(a int)`
    await sql`insert into changed values (1)`
    const read = async () => [...(await sql`select * from changed`.values())]
    want(await read(), [[1]])
    await (await open())`alter table changed alter a type text using 'number ' || a`
    try {
      want(await read(), [['number 1']])
    } catch (e) {
      want(e.code, '0A000') // cached plan must not change result type
    }
    want([...(await sql`select a from changed`.values())], [['number 1']])
  },
  async pipeline(sql) {
    const answers = []
    for (let i = 0; i < 1000; i++) answers.push(sql`select ${i}::int, repeat('x', 1000)`.values())
    want((await Promise.all(answers)).map((r) => r[0][0]), [...Array(1000).keys()])
  },
  async 'pipeline-error'(sql) {
    await sql`create table pipelined(a int primary key)`
    const insert = (a) => sql`insert into pipelined values (${a})`
    const ends = await Promise.allSettled([insert(1), insert(1), insert(2), sql`select 5`])
    want(ends.map((e) => e.reason?.code ?? 'ok'), ['ok', '23505', 'ok', 'ok']) // each has a Sync of its own
    want(await one(sql, 'select count(*)::int from pipelined'), 2)
  },
  async 'copy-in'(sql) {
    await sql`create table copied(a int, b text)`
    function* lines() {
      for (let i = 0; i < 20000; i++) yield `${i}\tline\\tof\\\\text\n`
    }
    await pipeline(Readable.from(lines()), await sql`copy copied from stdin`.writable())
    want(await all(sql, 'select count(*)::int, sum(a)::int, min(b) from copied'), [[20000, 199990000, 'line\tof\\text']])
  },
  async 'copy-out'(sql, open) {
    let text = ''
    const stream = await sql`copy (select i, repeat('y', 100) from generate_series(1, 20000) i) to stdout`.readable()
    for await (const chunk of stream) text += chunk
    const lines = text.trimEnd().split('\n')
    want([lines.length, lines[0], lines[19999].slice(0, 7)], [20000, '1\t' + 'y'.repeat(100), '20000\ty'])
    want(await one(await open(), 'select 1'), 1) // this driver may have left its own socket paused
  },
  async 'copy-fail'(sql) {
    await sql`create table uncopied(a int)`
    function* stops() {
      yield '1\n'
      throw new Error('no more')
    }
    await pipeline(Readable.from(stops()), await sql`copy uncopied from stdin`.writable()).catch((e) => want(/no more/.test(e.message), true))
    want(await one(sql, 'select count(*)::int from uncopied'), 0)
    // Of data that the server refuses this driver tells nothing, and its stream never ends.
  },
  async cancel(sql, open) {
    for (let i = 0; i < 3; i++) {
      const query = sql`select pg_sleep(50)`
      const ended = fails('57014', query)
      await sleep(300)
      query.cancel()
      await ended
      want(await one(sql, 'select 1'), 1)
    }
    want(await one(await open(), 'select 2 from pg_sleep(0.2)'), 2)
  },
  async 'statement-timeout'(sql) {
    await fails('57014', sql.begin(async (tx) => {
      await tx`set local statement_timeout = '100ms'`
      await tx`select pg_sleep(50)`
    }))
    want(await one(sql, 'select 1 from pg_sleep(0.3)'), 1)
  },
  async types(_, open) {
    const sql = await open({ fetch_types: true }) // what it knows arrays by
    const at = new Date('2024-02-29T23:59:59.123Z')
    const bytes = randomBytes(256)
    const values = [
      ['int2', -32768], ['int4', 2147483647], ['int8', '-9223372036854775808'], ['float4', 1.5], ['float8', 1e-300],
      ['numeric', '12345678901234567890.0123456789'], ['text', 'größer ☃ \'"\\'], ['bool', true], ['bytea', bytes], ['timestamptz', at],
      ['uuid', '12345678-1234-5678-1234-567812345678'], ['int4[]', [1, -2, 3]], ['text[]', ['a', 'b"c', '{}', '']],
      ['json', { a: [1, null, 'ü'] }], ['jsonb', { a: [1, null, 'ü'] }],
    ]
    for (const [type, value] of values) want([type, await one(sql, `select $1::${type}`, [value])], [type, value])
    want(await all(sql, "select 1::int2, 1.5::float8, 'x'::text, true, '{1,2}'::int[]"), [[1, 1.5, 'x', true, [1, 2]]])
  },
  async null(sql) {
    want([...(await sql`select ${null}::text, ${null}::int, null`.values())], [[null, null, null]])
  },
  async 'large-values'(sql, open) {
    const text = '0123456789abcdef'.repeat(8 << 16) // 8 MiB
    for (const client of [sql, await open({ prepare: false })]) {
      want([...(await client`select length(${text}::text)`.values())], [[text.length]])
      want((await client`select ${text}::text`.values())[0][0] === text, true)
      want((await client`select ${Buffer.from(text)}::bytea`.values())[0][0].equals(Buffer.from(text)), true)
    }
  },
  async 'many-rows'(sql) {
    const got = await sql`select i, repeat('z', 50) from generate_series(1, 200000) i`.values()
    want(got.reduce((sum, r) => sum + r[0], 0), 20000100000)
  },
  async 'row-counts'(sql) {
    await sql`create temporary table counted(a int)`
    want((await sql`insert into counted select generate_series(1, 10)`).count, 10)
    want((await sql`update counted set a = a + 1 where a > ${4}`).count, 6)
    const deleted = await sql`delete from counted where a > 5 returning a`
    want([deleted.command, deleted.count, deleted.length], ['DELETE', 6, 6])
  },
  async notices(_, open) {
    const heard = []
    const sql = await open({ onnotice: (n) => heard.push([n.severity, n.message, n.code]) })
    await sql.unsafe("do $$ begin raise notice 'hello %', 1; raise warning 'mind'; end $$")
    want(heard, [['NOTICE', 'hello 1', '00000'], ['WARNING', 'mind', '01000']])
  },
  async cursor(sql) {
    let sum = 0
    await sql.begin(async (tx) => {
      for await (const got of tx`select i from generate_series(1, ${1000}::int) i`.cursor(100)) for (const { i } of got) sum += i
      want(sum, 500500)
      await tx`declare walk scroll cursor for select i from generate_series(1, 100) i`
      want(await all(tx, 'fetch absolute 10 from walk'), [[10]])
      want(await all(tx, 'fetch backward 2 from walk'), [[9], [8]])
    })
    await fails('34000', sql`fetch walk`)
  },
  async 'set-local'(sql) {
    const before = await one(sql, 'show work_mem')
    await sql.begin(async (tx) => {
      await tx`set local work_mem = '5MB'`
      want(await one(tx, 'show work_mem'), '5MB')
    })
    want(await one(sql, 'show work_mem'), before)
  },
  async 'set-session'(sql, open) {
    const other = await open()
    await sql`create schema if not exists elsewhere`
    await sql`set search_path = elsewhere, public`
    await sql`select set_config('compat.name', ${'mine'}, false)`
    for (let i = 0; i < 20; i++) {
      want((await one(other, "select current_setting('compat.name', true)")) || null, null)
      want(await one(other, 'show search_path'), '"$user", public')
      want(await all(sql, "select current_setting('compat.name'), current_schema"), [['mine', 'elsewhere']])
    }
  },
  async listen(sql) {
    const got = []
    await sql.listen('compat_channel', (payload) => got.push(payload)) // on a connection of its own
    await sql.notify('compat_channel', 'first')
    await sql`select pg_notify('compat_channel', ${'second'})`
    while (got.length < 2) await sleep(10)
    want(got, ['first', 'second'])
  },
  async 'advisory-lock'(sql, open) {
    const other = await open()
    await sql`select pg_advisory_lock(4711)`
    for (let i = 0; i < 10; i++) {
      want(await one(sql, 'select 1'), 1)
      want(await one(other, 'select pg_try_advisory_lock(4711)'), false)
    }
    want(await one(sql, 'select pg_advisory_unlock(4711)'), true)
    want(await one(other, 'select pg_try_advisory_lock(4711)'), true)
  },
  async 'temporary-table'(sql, open) {
    const other = await open()
    await sql`create temporary table mine(a int)`
    for (let i = 0; i < 10; i++) {
      await sql`insert into mine values (${i})`
      await fails('42P01', other`select * from mine`)
    }
    want(await one(sql, 'select count(*)::int from mine'), 10)
  },
  async 'several-statements'(sql) {
    const got = await sql`select 1 as a; create temporary table several(a int) on commit drop; insert into several values (1), (2); select 4 as b`.simple()
    want(got.map((r) => [...r]), [[{ a: 1 }], [{ b: 4 }]]) // this driver keeps results that have rows
  },
  async 'empty-query'(sql) {
    want([...(await sql``.simple())], [])
    want([...(await sql``)], [])
    want(await one(sql, 'select 1'), 1)
  },
  async transfers(sql) {
    await sql`create table accounts(id int primary key, balance int)`
    await sql`insert into accounts select i, 100 from generate_series(0, 9) i`
    const pool = postgres({ max: 20, fetch_types: false })
    const why = new Error('enough')
    const work = async (seed) => {
      for (let i = 0; i < 30; i++) {
        const [a, b] = [(seed + i) % 10, (seed + 3 * i + 1) % 10].sort()
        await pool.begin(async (tx) => {
          await tx`update accounts set balance = balance - 1 where id = ${a}`
          await tx`update accounts set balance = balance + 1 where id = ${b}`
          if (i % 7 === 6) throw why
        }).catch((e) => want(e, why))
      }
    }
    await Promise.all([...Array(20).keys()].map(work))
    await pool.end()
    want(await one(sql, 'select sum(balance)::int from accounts'), 1000)
  },
}, connect, (sql) => sql.end({ timeout: 1 }))
