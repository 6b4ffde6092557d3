// What both programs share: the list of scenarios, comparing, and telling how each ended.
import assert from 'node:assert/strict'

const SECONDS = 60

export function want(got, wanted) {
  assert.deepEqual(got, wanted)
}

// fails returns the error of a promise, which must have this SQLSTATE.
export async function fails(sqlstate, promise) {
  try {
    await promise
  } catch (e) {
    assert.equal(e.code, sqlstate, e.message)
    return e
  }
  throw new Error(`no error, want ${sqlstate}`)
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

// play runs each scenario with a client of its own, and says how it ended. What is on the command line is left out.
export async function play(scenarios, connect, end) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (process.argv.slice(2).includes(name)) continue
    const opened = []
    const open = async (options) => {
      const c = await connect(options)
      opened.push(c)
      return c
    }
    let timer
    const late = new Promise((_, no) => {
      timer = setTimeout(() => no(new Error(`not done after ${SECONDS} s`)), SECONDS * 1000)
    })
    try {
      await Promise.race([late, (async () => scenario(await open(), open))()])
      console.log('ok ' + name)
    } catch (e) {
      console.log(`not ok ${name}: ${String(e?.message ?? e).replace(/\s+/g, ' ').slice(0, 1000)}`)
    }
    clearTimeout(timer)
    await Promise.race([Promise.allSettled(opened.map(end)), sleep(5000)])
  }
  process.exit(0)
}
