// postgres.js with everything it may pipeline in flight, against full buffers. Arguments: seconds, statements in flight, bytes of each.
import postgres from 'postgres'

const [seconds, inFlight, size] = process.argv.slice(2).map(Number)
const sql = postgres({ max: 1, max_pipeline: inFlight, fetch_types: false })
const ask = async (i) => {
  const text = String.fromCharCode(97 + (i % 26)).repeat(size)
  const [row] = await sql`select ${i}::int4 as i, ${text}::text as text`
  if (row.i !== i || row.text !== text) throw new Error(`answer ${i} is that of another statement`)
  console.log('answer')
}
await sql`select 1`
console.log('connected')
const until = Date.now() + seconds * 1000
do await Promise.all([...Array(inFlight).keys()].map(ask))
while (Date.now() < until)
await sql.end()
