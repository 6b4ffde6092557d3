// The scenarios of scenarios.txt with node-postgres. Prints "ok NAME" or "not ok NAME: WHY" for each.
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import Cursor from 'pg-cursor'
import { fails, play, sleep, want } from './play.mjs'

async function connect(options) {
  const c = new pg.Client(options)
  c.on('error', () => {}) // a query's promise tells
  await c.connect()
  return c
}

const rows = async (c, text, values) => (await c.query({ text, values, rowMode: 'array' })).rows
const one = async (c, text, values) => (await rows(c, text, values))[0][0]
const named = async (c, name, text, values) => (await c.query({ name, text, values, rowMode: 'array' })).rows

async function transaction(c, work) {
  await c.query('begin')
  try {
    await work()
    await c.query('commit')
  } catch (e) {
    await c.query('rollback')
    throw e
  }
}

await play({
  async commit(c, open) {
    await c.query('create table committed(a int)')
    await transaction(c, () => c.query('insert into committed values (1), (2)'))
    want(await one(await open(), 'select count(*)::int from committed'), 2)
  },
  async rollback(c) {
    await c.query('create table kept(a int)')
    await c.query('begin')
    await c.query('insert into kept values ($1)', [1])
    await c.query('rollback')
    want(await one(c, 'select count(*)::int from kept'), 0)
  },
  async savepoint(c) {
    await c.query('begin')
    await c.query('create temporary table points(a int) on commit drop')
    await c.query('insert into points values (1)')
    await c.query('savepoint s')
    await c.query('insert into points values (2)')
    await fails('22012', c.query('select 1/0'))
    await c.query('rollback to savepoint s')
    await c.query('insert into points values (3)')
    want(await rows(c, 'select a from points order by a'), [[1], [3]])
    await c.query('commit')
  },
  async 'error-in-transaction'(c) {
    await c.query('begin')
    await fails('22012', c.query('select 1/$1::int', [0]))
    await fails('25P02', c.query('select $1::int', [2]))
    await fails('25P02', c.query('select 2'))
    await c.query('rollback')
    want(await one(c, 'select 3'), 3)
  },
  async 'error-outside'(c) {
    for (const [text, sqlstate] of [['selec 1', '42601'], ['select nothing', '42703'], ['select * from nowhere', '42P01']]) {
      await fails(sqlstate, c.query(text))
      await fails(sqlstate, c.query(text + ' where 1 = $1', [1]))
      want(await one(c, 'select 1'), 1)
    }
    await fails('22P02', c.query('select $1::int', ['x']))
    want(await one(c, 'select $1::int', ['7']), 7)
  },
  async 'error-fields'(c) {
    await c.query('create temporary table fields(a int constraint positive check (a > 0), b text primary key)')
    let e = await fails('23514', c.query("insert into fields values ($1, 'x')", [-1]))
    want([e.constraint, e.table, e.severity], ['positive', 'fields', 'ERROR'])
    await c.query("insert into fields values (1, 'x')")
    e = await fails('23505', c.query("insert into fields values (1, 'x')"))
    want([e.constraint, e.detail], ['fields_pkey', 'Key (b)=(x) already exists.'])
    want((await fails('42601', c.query('select 1 +'))).position, '11')
  },
  async 'unnamed-statements'(c) {
    for (let i = 0; i < 500; i++) {
      want(await rows(c, 'select $1::int + 1, $2::text', [i, 'é'.repeat(i % 50)]), [[i + 1, 'é'.repeat(i % 50)]])
    }
  },
  async 'named-statements'(c) {
    for (let i = 0; i < 300; i++) want(await named(c, 'double', 'select $1::int * 2', [i]), [[i * 2]])
    await transaction(c, async () => want(await named(c, 'double', 'select $1::int * 2', [5]), [[10]]))
  },
  async 'many-named-statements'(c) {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) want(await named(c, 's' + i, `select $1::int + ${i}`, [1]), [[i + 1]])
    }
  },
  async 'same-name-two-clients'(c, open) {
    const other = await open()
    for (let i = 0; i < 50; i++) {
      want(await named(c, 'same', "select 'one' || $1::text", [i]), [['one' + i]])
      want(await named(other, 'same', "select 'two' || $1::text", [i]), [['two' + i]])
    }
  },
  async 'changed-table'(c, open) {
    await c.query('create table changed(a int)')
    await c.query('insert into changed values (1)')
    want(await named(c, 'all', 'select * from changed'), [[1]])
    await (await open()).query("alter table changed alter a type text using 'number ' || a")
    try {
      want(await named(c, 'all', 'select * from changed'), [['number 1']])
    } catch (e) {
      want(e.code, '0A000') // cached plan must not change result type
    }
    want(await rows(c, 'select * from changed'), [['number 1']])
  },
  async pipeline(_, open) {
    const c = await open({ pipeline: true })
    const answers = []
    for (let i = 0; i < 1000; i++) answers.push(rows(c, "select $1::int, repeat('x', 1000)", [i]))
    want((await Promise.all(answers)).map((r) => r[0][0]), [...Array(1000).keys()])
  },
  async 'pipeline-error'(_, open) {
    const c = await open({ pipeline: true })
    await c.query('create table pipelined(a int primary key)')
    const insert = (a) => c.query('insert into pipelined values ($1)', [a])
    const ends = await Promise.allSettled([insert(1), insert(1), insert(2), c.query('select 5')])
    want(ends.map((e) => e.reason?.code ?? 'ok'), ['ok', '23505', 'ok', 'ok']) // each has a Sync of its own
    want(await one(c, 'select count(*)::int from pipelined'), 2)
  },
  async 'copy-in'(c) {
    await c.query('create table copied(a int, b text)')
    function* lines() {
      for (let i = 0; i < 20000; i++) yield `${i}\tline\\tof\\\\text\n`
    }
    const stream = c.query(copyFrom('copy copied from stdin'))
    await pipeline(Readable.from(lines()), stream)
    want(stream.rowCount, 20000)
    want(await rows(c, 'select count(*)::int, sum(a)::int, min(b) from copied'), [[20000, 199990000, 'line\tof\\text']])
  },
  async 'copy-out'(c) {
    let text = ''
    for await (const chunk of c.query(copyTo("copy (select i, repeat('y', 100) from generate_series(1, 20000) i) to stdout"))) text += chunk
    const lines = text.trimEnd().split('\n')
    want([lines.length, lines[0], lines[19999].slice(0, 7)], [20000, '1\t' + 'y'.repeat(100), '20000\ty'])
    want(await one(c, 'select 1'), 1)
  },
  async 'copy-fail'(c) {
    await c.query('create table uncopied(a int)')
    function* stops() {
      yield '1\n'
      throw new Error('no more')
    }
    await pipeline(Readable.from(stops()), c.query(copyFrom('copy uncopied from stdin'))).catch((e) => want(/no more/.test(e.message), true))
    want(await one(c, 'select count(*)::int from uncopied'), 0)
    await fails('22P02', pipeline(Readable.from(['1\nx\n']), c.query(copyFrom('copy uncopied from stdin'))))
    want(await one(c, 'select count(*)::int from uncopied'), 0)
  },
  async cancel(c, open) {
    for (let i = 0; i < 3; i++) {
      const query = new pg.Query('select pg_sleep(50)')
      const ended = new Promise((yes, no) => query.on('end', yes).on('error', no))
      c.query(query)
      await sleep(300)
      new pg.Client().cancel(c, query)
      await fails('57014', ended)
      want(await one(c, 'select 1'), 1)
    }
    want(await one(await open(), 'select 2 from pg_sleep(0.2)'), 2)
  },
  async 'statement-timeout'(c) {
    await c.query('begin')
    await c.query("set local statement_timeout = '100ms'")
    await fails('57014', c.query('select pg_sleep(50)'))
    await c.query('rollback')
    want(await one(c, 'select 1 from pg_sleep(0.3)'), 1)
  },
  async types(c) {
    const at = new Date('2024-02-29T23:59:59.123Z')
    const bytes = randomBytes(256)
    const values = [
      ['int2', -32768, -32768], ['int4', 2147483647, 2147483647], ['int8', '-9223372036854775808', '-9223372036854775808'],
      ['float4', 1.5, 1.5], ['float8', 1e-300, 1e-300], ['numeric', '12345678901234567890.0123456789', '12345678901234567890.0123456789'],
      ['text', 'größer ☃ \'"\\', 'größer ☃ \'"\\'], ['bool', true, true], ['bytea', bytes, bytes], ['timestamptz', at, at],
      ['uuid', '12345678-1234-5678-1234-567812345678', '12345678-1234-5678-1234-567812345678'],
      ['int4[]', [1, null, 3], [1, null, 3]], ['text[]', ['a', 'b"c', '{}', ''], ['a', 'b"c', '{}', '']],
      ['json', { a: [1, null, 'ü'] }, { a: [1, null, 'ü'] }], ['jsonb', { a: [1, null, 'ü'] }, { a: [1, null, 'ü'] }],
    ]
    for (const [type, value, back] of values) want([type, await one(c, `select $1::${type}`, [value])], [type, back])
    want(await rows(c, "select 1::int2, 1.5::float8, 'x'::text, true, '{1,2}'::int[]"), [[1, 1.5, 'x', true, [1, 2]]])
  },
  async null(c) {
    want(await rows(c, 'select $1::text, $2::int, null', [null, null]), [[null, null, null]])
  },
  async 'large-values'(c) {
    const text = '0123456789abcdef'.repeat(8 << 16) // 8 MiB
    for (const query of [(q, v) => rows(c, q, v), (q, v) => named(c, q, q, v)]) {
      want(await query('select length($1::text)', [text]), [[text.length]])
      want((await query('select $1::text', [text]))[0][0] === text, true)
      want((await query('select $1::bytea', [Buffer.from(text)]))[0][0].equals(Buffer.from(text)), true)
    }
  },
  async 'many-rows'(c) {
    const got = await rows(c, "select i, repeat('z', 50) from generate_series(1, 200000) i")
    want(got.reduce((sum, r) => sum + r[0], 0), 20000100000)
  },
  async 'row-counts'(c) {
    await c.query('create temporary table counted(a int)')
    want((await c.query('insert into counted select generate_series(1, 10)')).rowCount, 10)
    want((await c.query('update counted set a = a + 1 where a > $1', [4])).rowCount, 6)
    const deleted = await c.query('delete from counted where a > 5 returning a')
    want([deleted.command, deleted.rowCount, deleted.rows.length], ['DELETE', 6, 6])
  },
  async notices(c) {
    const heard = []
    c.on('notice', (n) => heard.push([n.severity, n.message, n.code]))
    await c.query("do $$ begin raise notice 'hello %', 1; raise warning 'mind'; end $$")
    want(heard, [['NOTICE', 'hello 1', '00000'], ['WARNING', 'mind', '01000']])
  },
  async cursor(c) {
    await transaction(c, async () => {
      const cursor = c.query(new Cursor('select i from generate_series(1, $1::int) i', [1000], { rowMode: 'array' }))
      let sum = 0
      for (let got; (got = await cursor.read(100)).length; ) for (const [i] of got) sum += i
      want(sum, 500500)
      await cursor.close()
      await c.query('declare walk scroll cursor for select i from generate_series(1, 100) i')
      want(await rows(c, 'fetch absolute 10 from walk'), [[10]])
      want(await rows(c, 'fetch backward 2 from walk'), [[9], [8]])
    })
    await fails('34000', c.query('fetch walk'))
  },
  async 'set-local'(c) {
    const before = await one(c, 'show work_mem')
    await transaction(c, async () => {
      await c.query("set local work_mem = '5MB'")
      want(await one(c, 'show work_mem'), '5MB')
    })
    want(await one(c, 'show work_mem'), before)
  },
  async 'set-session'(c, open) {
    const other = await open()
    await c.query('create schema if not exists elsewhere')
    await c.query('set search_path = elsewhere, public')
    await c.query("select set_config('compat.name', $1, false)", ['mine'])
    for (let i = 0; i < 20; i++) {
      want((await one(other, "select current_setting('compat.name', true)")) || null, null)
      want(await one(other, 'show search_path'), '"$user", public')
      want(await rows(c, "select current_setting('compat.name'), current_schema"), [['mine', 'elsewhere']])
    }
  },
  async listen(c, open) {
    const got = []
    c.on('notification', (n) => got.push([n.channel, n.payload]))
    await c.query('listen compat_channel')
    const other = await open()
    await other.query("notify compat_channel, 'first'")
    await other.query("select pg_notify('compat_channel', $1)", ['second'])
    while (got.length < 2) await sleep(10)
    want(got, [['compat_channel', 'first'], ['compat_channel', 'second']])
    await c.query('unlisten *')
  },
  async 'advisory-lock'(c, open) {
    const other = await open()
    await c.query('select pg_advisory_lock(4711)')
    for (let i = 0; i < 10; i++) {
      want(await one(c, 'select 1'), 1)
      want(await one(other, 'select pg_try_advisory_lock(4711)'), false)
    }
    want(await one(c, 'select pg_advisory_unlock(4711)'), true)
    want(await one(other, 'select pg_try_advisory_lock(4711)'), true)
  },
  async 'temporary-table'(c, open) {
    const other = await open()
    await c.query('create temporary table mine(a int)')
    for (let i = 0; i < 10; i++) {
      await c.query('insert into mine values ($1)', [i])
      await fails('42P01', other.query('select * from mine'))
    }
    want(await one(c, 'select count(*)::int from mine'), 10)
  },
  async 'several-statements'(c) {
    const got = await c.query('select 1 as a; create temporary table several(a int) on commit drop; insert into several values (1), (2); select 4 as b')
    want(got.map((r) => [r.command, r.rowCount]), [['SELECT', 1], ['CREATE', null], ['INSERT', 2], ['SELECT', 1]])
    want([got[0].rows, got[3].rows], [[{ a: 1 }], [{ b: 4 }]])
  },
  async 'empty-query'(c) {
    want((await c.query('')).rows, [])
    want((await c.query({ text: '', values: [] })).rows, [])
    want((await c.query({ name: 'empty', text: '' })).rows, [])
    want(await one(c, 'select 1'), 1)
  },
  async transfers(c) {
    await c.query('create table accounts(id int primary key, balance int)')
    await c.query('insert into accounts select i, 100 from generate_series(0, 9) i')
    const pool = new pg.Pool({ max: 20 })
    const work = async (seed) => {
      for (let i = 0; i < 30; i++) {
        const mine = await pool.connect()
        const [a, b] = [(seed + i) % 10, (seed + 3 * i + 1) % 10].sort()
        await mine.query('begin')
        await mine.query('update accounts set balance = balance - 1 where id = $1', [a])
        await mine.query({ name: 'add', text: 'update accounts set balance = balance + 1 where id = $1', values: [b] })
        await mine.query(i % 7 === 6 ? 'rollback' : 'commit')
        mine.release()
      }
    }
    await Promise.all([...Array(20).keys()].map(work))
    await pool.end()
    want(await one(c, 'select sum(balance)::int from accounts'), 1000)
  },
}, connect, (c) => c.end())
