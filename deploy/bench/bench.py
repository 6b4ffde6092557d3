#!/usr/bin/env python3
"""Measures HeliosProxy against PgBouncer, and against an earlier build of itself (Python 3 standard library only).

It starts a throw-away PostgreSQL in a temporary directory, PgBouncer and bin/heliosproxy in front of it, and runs the
workloads INTERLEAVED: in every round each target runs every workload once, in random order, so that noise on a shared machine
hits all targets alike. What is quoted is the median over rounds, and the median of the per-round ratios. The steadiest number is
CPU microseconds per transaction of the proxy process (utime+stime, process tree); wall-clock numbers on a small machine also
contain the CPU time that pgbench and PostgreSQL use.

Typical use
  bench.py run                                  # bin/heliosproxy against PgBouncer
  bench.py run --before /tmp/heliosproxy.old    # and against another build
  bench.py run --workloads s8,s64,prep8 --rounds 7 --duration 4 --json out.json
  bench.py run --max-cpu-ratio s64:1.0          # exit status 1 when worse than that
  bench.py run --auth scram --workloads login8,tlslogin8,tls8,idletls1000    # log-ins, and TLS
  bench.py run --auth scram --tls               # every workload over TLS, with log-ins by SCRAM
  bench.py storm                                # do log-ins slow others' queries down?
  bench.py list                                 # the workloads

  # any other proxy (placeholders: {pg_host} {pg_port} {listen_port} {user} {db} {dir} {pool_size}); stopped afterwards
  bench.py run --candidate-cmd 'other=./proxy -listen 127.0.0.1:{listen_port} -backend {pg_host}:{pg_port}'
  # or started by hand: keep PostgreSQL and PgBouncer up in one terminal, measure from another
  bench.py serve --pg-port 25433 --pgbouncer-port 26432
  bench.py run --pg 127.0.0.1:25433 --target pgbouncer=127.0.0.1:26432:PID --candidate other=127.0.0.1:27000:PID

A target is NAME=HOST:PORT:PID[:TLSPORT]; PID 0 = no process measured. TLS workloads are skipped for targets without a TLS port.
Exit status: 0, or 1 if a --max-cpu-ratio / --min-tps-ratio gate (to PgBouncer, as WORKLOAD:VALUE) fails. Only addresses of the
loopback range are accepted.
"""
import argparse, base64, glob, hashlib, hmac, ipaddress, json, os, pwd, random, resource, shutil, signal, socket
import ssl, statistics, struct, subprocess, sys, tempfile, time

CLK = os.sysconf("SC_CLK_TCK")
DB, USER = "bench", "bench"

# ----------------------------------------------------------------- processes

def children_map():
    kids = {}
    for d in os.listdir("/proc"):
        if d.isdigit():
            try:
                with open("/proc/%s/stat" % d) as f:
                    rest = f.read().rpartition(")")[2].split()
                kids.setdefault(int(rest[1]), []).append(int(d))
            except OSError:
                pass
    return kids

def tree(pid):
    if not pid:
        return []
    kids, out, todo = children_map(), [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out

def cpu_seconds(pid):
    """(user, system) CPU seconds of the process tree, reaped children included."""
    u = s = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/stat" % p) as f:
                r = f.read().rpartition(")")[2].split()
        except OSError:
            continue
        u += int(r[11]) + int(r[13])
        s += int(r[12]) + int(r[14])
    return u / CLK, s / CLK

def rss_kib(pid):
    """Resident memory of the process tree in KiB, shared pages split (PSS) when readable."""
    total = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/smaps_rollup" % p) as f:
                total += next(int(l.split()[1]) for l in f if l.startswith("Pss:"))
        except (OSError, StopIteration):
            try:
                with open("/proc/%d/status" % p) as f:
                    total += next(int(l.split()[1]) for l in f if l.startswith("VmRSS:"))
            except (OSError, StopIteration):
                pass
    return total

def demote():
    """Run servers as 'postgres' when we are root (both servers refuse to run as root)."""
    if os.getuid() != 0:
        return None
    pw = pwd.getpwnam("postgres")
    def f():
        os.setgroups([]); os.setgid(pw.pw_gid); os.setuid(pw.pw_uid)
    return f

def free_port():
    """A port that nobody listens on, below the range of outgoing connections."""
    while True:
        port = random.randrange(20000, 32768)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass

def check_loopback(host):
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        sys.exit("refused: %s is not a loopback address" % host)

def wait_port(port, secs=15, host="127.0.0.1"):
    end = time.time() + secs
    while time.time() < end:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("nothing listens on %s:%d" % (host, port))

# -------------------------------------------------------------- raw protocol

class Raw:
    """A minimal protocol-3 client: enough for idle connections and bulk data."""
    def __init__(self, host, port, tls=False, timeout=30):
        self.s = socket.create_connection((host, port), timeout)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.s.sendall(struct.pack("!ii", 8, 80877103))
            if self.s.recv(1) != b"S":
                raise OSError("server refused TLS")
            c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
            self.s = c.wrap_socket(self.s)
        b = b"user\0%s\0database\0%s\0\0" % (USER.encode(), DB.encode())
        self.s.sendall(struct.pack("!ii", len(b) + 8, 196608) + b)
        self.prove()

    salted = {}

    def prove(self):
        """Answers SCRAM-SHA-256 (RFC 5802) where it is asked for, then reads on until it may begin."""
        f = self.s.makefile("rb")
        say = lambda b: self.s.sendall(b"p" + struct.pack("!i", len(b) + 4) + b)
        mac = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
        bare = b"n=,r=" + base64.b64encode(os.urandom(18))
        while True:
            head = f.read(5)
            if len(head) < 5:
                raise OSError("connection closed")
            body = f.read(struct.unpack("!i", head[1:])[0] - 4)
            code = struct.unpack("!i", body[:4])[0] if head[:1] == b"R" else None
            if head[:1] == b"E":
                raise OSError(body.decode(errors="replace"))
            if head[:1] == b"Z":
                return
            if code == 10:
                first = b"n,," + bare
                say(b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
            if code == 11:
                a = dict(x.split(b"=", 1) for x in body[4:].split(b","))
                key = (a[b"s"], int(a[b"i"]))
                if key not in Raw.salted:
                    Raw.salted[key] = hashlib.pbkdf2_hmac("sha256", b"bench", base64.b64decode(key[0]), key[1])
                client = mac(Raw.salted[key], b"Client Key")
                without = b"c=biws,r=" + a[b"r"]
                sign = mac(hashlib.sha256(client).digest(), b",".join([bare, body[4:], without]))
                say(without + b",p=" + base64.b64encode(bytes(x ^ y for x, y in zip(client, sign))))

    def until_ready(self):
        """Discard input up to ReadyForQuery; returns bytes seen. Fast path looks only at the tail."""
        n, tail, buf = 0, b"", bytearray(1 << 20)
        while True:
            k = self.s.recv_into(buf)
            if not k:
                raise OSError("connection closed: %r" % tail)
            n += k
            tail = (tail + bytes(buf[max(0, k - 200):k]))[-200:]
            if len(tail) >= 6 and tail[-6:-1] == b"Z\0\0\0\5" and tail[-1:] in (b"I", b"T", b"E"):
                return n

    def query(self, sql):
        b = sql.encode() + b"\0"
        self.s.sendall(b"Q" + struct.pack("!i", len(b) + 4) + b)
        return self.until_ready()

    def copy_in(self, sql, payload, total):
        b = sql.encode() + b"\0"
        self.s.sendall(b"Q" + struct.pack("!i", len(b) + 4) + b)
        r = self.s.recv(4096)
        if r[:1] != b"G":
            raise OSError("no CopyInResponse: %r" % r[:100])
        frame = b"d" + struct.pack("!i", len(payload) + 4) + payload
        block = frame * max(1, 65536 // len(frame))
        sent = 0
        while sent < total:
            self.s.sendall(block)
            sent += len(block)
        self.s.sendall(b"c" + struct.pack("!i", 4))
        self.until_ready()
        return sent

    def close(self):
        try:
            self.s.sendall(b"X" + struct.pack("!i", 4))
        except OSError:
            pass
        self.s.close()

# ----------------------------------------------------------------- workloads

SCRIPTS = {
    "select1": "SELECT 1;\n",
    "pipe10": "\\set aid random(1, 100000 * :scale)\n\\startpipeline\n"
              + "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n" * 10 + "\\endpipeline\n",
}

def W(name, what, **kw):
    return dict(name=name, what=what, **kw)

WORKLOADS = [
    W("s1",      "pgbench -S simple, 1 client",        c=1,   args=["-S", "-M", "simple"]),
    W("s8",      "pgbench -S simple, 8 clients",       c=8,   args=["-S", "-M", "simple"]),
    W("s64",     "pgbench -S simple, 64 clients",      c=64,  args=["-S", "-M", "simple"]),
    W("s500",    "pgbench -S simple, 500 clients",     c=500, args=["-S", "-M", "simple"]),
    W("ext1",    "pgbench -S extended, 1 client",      c=1,   args=["-S", "-M", "extended"]),
    W("ext8",    "pgbench -S extended, 8 clients",     c=8,   args=["-S", "-M", "extended"]),
    W("ext64",   "pgbench -S extended, 64 clients",    c=64,  args=["-S", "-M", "extended"]),
    W("ext500",  "pgbench -S extended, 500 clients",   c=500, args=["-S", "-M", "extended"]),
    W("prep1",   "pgbench -S prepared, 1 client",      c=1,   args=["-S", "-M", "prepared"]),
    W("prep8",   "pgbench -S prepared, 8 clients",     c=8,   args=["-S", "-M", "prepared"]),
    W("prep64",  "pgbench -S prepared, 64 clients",    c=64,  args=["-S", "-M", "prepared"]),
    W("prep500", "pgbench -S prepared, 500 clients",   c=500, args=["-S", "-M", "prepared"]),
    W("tpcb8",   "pgbench TPC-B-like, 8 clients",      c=8,   args=["-b", "tpcb-like"]),
    W("conn8",   "connect per transaction, 8 clients", c=8,   args=["-S", "-C"]),
    W("one",     "SELECT 1, 1 client (latency)",       c=1,   script="select1"),
    W("sel8",    "SELECT 1, 8 clients (also: response-cache hit path)",  c=8,  script="select1"),
    W("sel64",   "SELECT 1, 64 clients (also: response-cache hit path)", c=64, script="select1"),
    W("rate8",   "SELECT 1, 8 clients at a fixed 2000/s (latency unsaturated)", c=8, script="select1",
                 args=["-R", "2000"]),
    W("pipe8",   "10-query pipelines (-M extended), 8 clients", c=8, script="pipe10", args=["-M", "extended"]),
    W("tls8",    "pgbench -S simple over TLS, 8 clients", c=8, args=["-S"], tls=True),
    W("tlsconn", "TLS connect per transaction, 4 clients", c=4, args=["-S", "-C"], tls=True),
    W("login8",    "log in and leave, 8 clients, keys made before", login=8),
    W("tlslogin8", "the same over TLS", login=8, tls=True),
    W("out100",  "SELECT of 100 MB, MB/s and CPU per MB", bulk="out"),
    W("in100",   "COPY IN of 100 MB, MB/s and CPU per MB", bulk="in"),
    W("idle1000", "1000 idle clients, memory each",    idle=1000),
    W("idletls1000", "1000 idle TLS clients, memory each", idle=1000, tls=True),
    W("idle5000", "5000 idle clients, memory each",    idle=5000),
]
BYNAME = {w["name"]: w for w in WORKLOADS}
QUICK = "s8,s64,prep8,conn8,one,out100,idle1000"
USUAL = "s8,s64,rate8,ext64,prep64,conn8,out100,idle1000"

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROXY_TOML = """[proxy]
listen_address = "127.0.0.1:%(listen_port)d"
admin_address = "127.0.0.1:%(admin_port)d"

[pool]
mode = "transaction"
max_connections = %(pool_size)d

[[nodes]]
host = "%(pg_host)s"
port = %(pg_port)d
role = "primary"

[auth]
mode = "%(auth)s"

[[users]]
name = "bench"
password = '%(secret)s'
%(tls)s"""

def verifier(password="bench"):
    """What PostgreSQL and the proxies keep of the password: RFC 5803."""
    salt = os.urandom(16); n = 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, n)
    mac = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
    b = lambda x: base64.b64encode(x).decode()
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (n, b(salt), b(hashlib.sha256(mac(salted, b"Client Key")).digest()), b(mac(salted, b"Server Key")))

def logins(st, t, *args, **kw):
    """The program that logs in, started; its output is a pipe."""
    program = os.path.join(st.dir, "logins")
    if not os.path.exists(program):
        subprocess.run(["go", "build", "-o", program, "./deploy/bench/logins"], cwd=ROOT, check=True)
    return subprocess.Popen([program, "-address", "127.0.0.1:%d" % (t["tls"] if "-tls" in args else t["port"])] + list(args),
                            stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **kw)

def login(st, t, w, secs):
    u0, s0 = cpu_seconds(t["pid"])
    p = logins(st, t, *(["-tls"] if w.get("tls") else []), "-clients", str(w["login"]), "-length", "%gs" % secs)
    r = json.loads(p.communicate()[0])
    u1, s1 = cpu_seconds(t["pid"])
    if p.returncode or not r["done"] or r["refused"]:
        raise RuntimeError("log-ins: %s" % r)
    n = r["done"]
    return dict(tps=n / r["seconds"], p50=r["p50_ms"] * 1e3, p99=r["p99_ms"] * 1e3,
                cpu=(u1 + s1 - u0 - s0) * 1e6 / n, sys=(s1 - s0) * 1e6 / n, rss=rss_kib(t["pid"]))

def pgbench(t, w, secs, tmp, bindir):
    port = t["tls"] if w.get("tls") else t["port"]
    env = dict(os.environ, PGPASSWORD="bench", PGSSLMODE="require" if w.get("tls") else "disable", PGGSSENCMODE="disable")
    pre = os.path.join(tmp, "log")
    for f in glob.glob(pre + ".*"):
        os.unlink(f)
    c = w["c"]
    cmd = [os.path.join(bindir, "pgbench"), "-n", "-h", t["host"], "-p", str(port), "-U", USER,
           "-c", str(c), "-j", "1" if c <= 8 else "2", "-T", str(secs), "-l", "--log-prefix", pre,
           "--sampling-rate", "0.2"] + w.get("args", [])
    if "script" in w:
        path = os.path.join(tmp, w["script"] + ".sql")
        with open(path, "w") as f:
            f.write(SCRIPTS[w["script"]])
        cmd += ["-f", path]
        if w["script"] == "pipe10":
            cmd += ["-D", "scale=10"]
    u0, s0 = cpu_seconds(t["pid"])
    p = subprocess.run(cmd + [DB], env=env, capture_output=True, text=True, timeout=secs * 4 + 60)
    u1, s1 = cpu_seconds(t["pid"])
    n = tps = None
    for l in p.stdout.splitlines():
        if l.startswith("number of transactions actually processed:"):
            n = int(l.split(":")[1].split("/")[0])
        if l.startswith("tps ="):
            tps = float(l.split()[2])
    if p.returncode or not n:
        raise RuntimeError((p.stderr.strip().splitlines() or ["no transactions"])[-1][:300])
    lat = []
    for f in glob.glob(pre + ".*"):
        with open(f) as h:
            lat += [int(l.split()[2]) for l in h]
        os.unlink(f)
    lat.sort()
    q = lambda x: float(lat[min(len(lat) - 1, int(len(lat) * x))]) if lat else None
    r = dict(tps=tps, p50=q(.50), p99=q(.99))
    if t["pid"]:
        r.update(cpu=(u1 + s1 - u0 - s0) * 1e6 / n, sys=(s1 - s0) * 1e6 / n, rss=rss_kib(t["pid"]))
    return r

def bulk(t, w):
    c = Raw(t["host"], t["tls"], tls=True) if w.get("tls") else Raw(t["host"], t["port"])
    try:
        if w["bulk"] == "in":      # a temporary table inside one transaction: pooling-safe, no locks between targets
            c.query("BEGIN")
            c.query("CREATE TEMP TABLE bench_in(a int, b text) ON COMMIT DROP")
        u0, s0 = cpu_seconds(t["pid"]); t0 = time.time()
        if w["bulk"] == "out":
            n = c.query("SELECT b FROM bench_wide")
        else:
            row = b"12345\t" + b"x" * 990 + b"\n"
            n = c.copy_in("COPY bench_in FROM STDIN", row * 8, 100_000_000)
        dt = time.time() - t0; u1, s1 = cpu_seconds(t["pid"])
        if w["bulk"] == "in":
            c.query("ROLLBACK")
    finally:
        c.close()
    mb = n / 1e6
    r = dict(tps=mb / dt)                                     # MB/s
    if t["pid"]:
        r.update(cpu=(u1 + s1 - u0 - s0) * 1e6 / mb, sys=(s1 - s0) * 1e6 / mb, rss=rss_kib(t["pid"]))
    return r

def idle_tls(st, t, w):
    n = w["idle"]
    if not t["pid"]:
        raise RuntimeError("no process to measure")
    p = logins(st, t, "-tls", "-hold", "1")                   # what the first of them needs is not counted
    p.stdout.readline(); p.stdin.close(); p.wait(); time.sleep(0.5)
    base = rss_kib(t["pid"]); u0, s0 = cpu_seconds(t["pid"]); t0 = time.time()
    p = logins(st, t, "-tls", "-hold", str(n))
    if p.stdout.readline() != "held\n":
        raise RuntimeError("cannot hold %d clients" % n)
    dt = time.time() - t0; u1, s1 = cpu_seconds(t["pid"])
    time.sleep(1.0)
    after = rss_kib(t["pid"]); time.sleep(4.0); settled = rss_kib(t["pid"])
    u2, s2 = cpu_seconds(t["pid"]); time.sleep(2.0); u3, s3 = cpu_seconds(t["pid"])
    p.stdin.close(); p.wait()
    return dict(tps=n / dt, cpu=(u1 + s1 - u0 - s0) * 1e6 / n, rss=settled, rss_per_conn=(settled - base) / n,
                rss_at_once=(after - base) / n, idle_cpu_pct=(u3 + s3 - u2 - s2) * 50)

def idle(t, w):
    n = w["idle"]
    if not t["pid"]:
        raise RuntimeError("no process to measure")
    base = t["rss0"]; u0, s0 = cpu_seconds(t["pid"]); t0 = time.time(); conns = []
    try:
        for _ in range(n):
            conns.append(Raw(t["host"], t["port"], timeout=20))
        dt = time.time() - t0; u1, s1 = cpu_seconds(t["pid"])
        time.sleep(1.0)
        after = rss_kib(t["pid"])
        u2, s2 = cpu_seconds(t["pid"]); time.sleep(2.0); u3, s3 = cpu_seconds(t["pid"])
    finally:
        for c in conns:
            c.close()
    return dict(tps=n / dt, cpu=(u1 + s1 - u0 - s0) * 1e6 / n, rss=after, rss_per_conn=(after - base) / n,
                idle_cpu_pct=(u3 + s3 - u2 - s2) * 50)

def measure(st, t, w, secs, tmp, bindir):
    if w.get("tls") and not t["tls"]:
        raise RuntimeError("no TLS port")
    if "bulk" in w:
        return bulk(t, w)
    if "login" in w:
        return login(st, t, w, secs)
    if "idle" in w:
        return idle_tls(st, t, w) if w.get("tls") else idle(t, w)
    return pgbench(t, w, secs, tmp, bindir)

# ----------------------------------------------------------------- the stack

class Stack:
    def __init__(self, a):
        self.a, self.procs, self.pg, self.tls = a, [], None, False
        self.dir = tempfile.mkdtemp(prefix="pgproxybench.", dir=a.workdir)
        os.chmod(self.dir, 0o755)
        self.srv = os.path.join(self.dir, "srv"); os.mkdir(self.srv)
        self.out = os.path.join(self.dir, "out"); os.mkdir(self.out)
        if os.getuid() == 0:
            pw = pwd.getpwnam("postgres"); os.chown(self.srv, pw.pw_uid, pw.pw_gid)

    def spawn(self, name, cmd, as_postgres=True, env=None):
        log = open(os.path.join(self.dir, name + ".log"), "wb")
        p = subprocess.Popen(cmd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, cwd=self.srv,
                             shell=isinstance(cmd, str), preexec_fn=demote() if as_postgres else None,
                             start_new_session=True)
        self.procs.append(p)
        return p

    def start_pg(self, port):
        b = self.a.pg_bin; d = os.path.join(self.srv, "data")
        subprocess.run([b + "/initdb", "-D", d, "-A", "trust", "-U", "postgres", "--locale=C", "-E", "UTF8"],
                       check=True, stdout=subprocess.DEVNULL, preexec_fn=demote(), cwd=self.srv)
        opts = dict(listen_addresses="127.0.0.1", port=port, unix_socket_directories=self.srv, fsync="off",
                    synchronous_commit="off", full_page_writes="off", shared_buffers="1GB",
                    max_connections=700, max_wal_size="4GB", checkpoint_timeout="30min", autovacuum="off",
                    wal_level="minimal", max_wal_senders=0, jit="off", log_min_messages="fatal")
        self.pg = self.spawn("postgres", [b + "/postgres", "-D", d] + [x for k, v in opts.items()
                                                                       for x in ("-c", "%s=%s" % (k, v))])
        wait_port(port)
        self.init_db("127.0.0.1", port, create=True)
        return port

    def init_db(self, host, port, create=False):
        b = self.a.pg_bin
        ps = lambda db, u, *sql: subprocess.run([b + "/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", host, "-p",
                str(port), "-U", u, db] + [x for s in sql for x in ("-c", s)], check=True, capture_output=True, text=True)
        if create:
            for _ in range(50):
                try:
                    ps("postgres", "postgres", "create role bench superuser login password 'bench'"); break
                except subprocess.CalledProcessError:
                    time.sleep(0.2)
            ps("postgres", "postgres", "create database bench owner bench")
        have = ps(DB, USER, "select to_regclass('pgbench_accounts') is not null, to_regclass('bench_wide') is not null"
                  ).stdout.strip().split("|")
        if have[0] == "f":
            subprocess.run([b + "/pgbench", "-i", "-q", "-s", "10", "-h", host, "-p", str(port), "-U", USER, DB],
                           check=True, capture_output=True)
        if have[1] == "f":
            ps(DB, USER, "create unlogged table bench_wide as select repeat(md5(i::text), 31) || 'xxxxxxxx' as b "
               "from generate_series(1, 100000) i")
        ps(DB, USER, "vacuum analyze")

    secret = verifier()

    def cert(self):
        k, c = self.srv + "/tls.key", self.srv + "/tls.crt"
        if not os.path.exists(c):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-days", "30", "-subj", "/CN=localhost", "-keyout", k, "-out", c],
                           check=True, capture_output=True)
            os.chmod(k, 0o644)
        return k, c

    def start_pgbouncer(self, port, pg_host, pg_port, tls=False, name="pgbouncer"):
        ini = os.path.join(self.srv, name + ".ini"); auth = os.path.join(self.srv, "users.txt")
        with open(auth, "w") as f:
            f.write('"bench" "%s"\n' % (self.secret if self.a.auth == "scram" else "bench"))
        ver = subprocess.run([self.a.pgbouncer, "--version"], capture_output=True, text=True).stdout.split()[1]
        v = tuple(int(x) for x in ver.split(".")[:2])
        conf = ["[databases]", "bench = host=%s port=%d dbname=bench user=bench" % (pg_host, pg_port), "[pgbouncer]",
                "listen_addr = 127.0.0.1", "listen_port = %d" % port, "unix_socket_dir =", "auth_type = " + ("scram-sha-256" if self.a.auth == "scram" else "trust"),
                "auth_file = " + auth, "pool_mode = transaction", "default_pool_size = %d" % self.a.pool_size,
                "max_client_conn = 12000", "ignore_startup_parameters = extra_float_digits",
                "log_connections = 0", "log_disconnections = 0", "log_stats = 0", "server_idle_timeout = 3600"]
        if v >= (1, 21):
            conf.append("max_prepared_statements = 200")
        if tls:
            k, c = self.cert()
            conf += ["client_tls_sslmode = require", "client_tls_key_file = " + k, "client_tls_cert_file = " + c]
        with open(ini, "w") as f:
            f.write("\n".join(conf) + "\n")
        p = self.spawn(name, [self.a.pgbouncer, ini])
        wait_port(port)
        return p.pid, ver

    def start_ours(self, name, program, pg_host, pg_port):
        """Starts a build of HeliosProxy; returns it as a target."""
        if not os.access(program, os.X_OK):
            sys.exit("there is no %s: run make build" % program)
        listen = free_port()
        conf = os.path.join(self.dir, name + ".toml")
        with open(conf, "w") as f:
            tls = ""
            if self.tls:
                tls = '\n[tls]\ncert_path = "%s.crt"\nkey_path = "%s.key"\n' % ((os.path.join(self.dir, "ours"),) * 2)
                for end, path in zip(("key", "crt"), self.cert()):
                    shutil.copy(path, os.path.join(self.dir, "ours." + end)); os.chmod(os.path.join(self.dir, "ours." + end), 0o600)
            f.write(PROXY_TOML % dict(listen_port=listen, admin_port=free_port(), pool_size=self.a.pool_size, pg_host=pg_host,
                                      pg_port=pg_port, auth=self.a.auth, secret=self.secret, tls=tls))
        p = self.spawn(name, [os.path.abspath(program), "--config", conf], as_postgres=False)
        wait_port(listen)
        return dict(name=name, host="127.0.0.1", port=listen, pid=p.pid, tls=listen if self.tls else 0)

    def stop(self):
        for p in reversed(self.procs):
            if p.poll() is None:
                p.send_signal(signal.SIGINT if p is self.pg else signal.SIGTERM)
        for p in reversed(self.procs):
            try:
                p.wait(15)
            except subprocess.TimeoutExpired:
                p.kill()
        if not self.a.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

# ----------------------------------------------------------------- reporting

COLS = [("tps", "tps (MB/s for bulk, conn/s for idle)"), ("p50", "p50 µs"), ("p99", "p99 µs"),
        ("cpu", "proxy CPU µs/txn (µs/MB, µs/conn)"), ("sys", "of it kernel"), ("rss", "PSS KiB"),
        ("rss_per_conn", "KiB/idle conn"), ("rss_at_once", "the same at once"), ("idle_cpu_pct", "idle CPU %")]

def med(v):
    v = [x for x in v if x is not None]
    return statistics.median(v) if v else None

def fmt(x):
    return "-" if x is None else ("%.0f" % x if abs(x) >= 100 else "%.1f" % x if abs(x) >= 10 else "%.2f" % x)

RATIOS = ("tps", "p50", "p99", "cpu", "rss_per_conn")

def ratios(runs, unit, base):
    """For every target that ran: the medians of its per-round ratios to base."""
    if base not in unit:
        return {}
    return {t: {k: med([x[k] / y[k] for x, y in zip(runs[t], runs[base]) if x.get(k) is not None and y.get(k)]) for k in RATIOS}
            for t in unit if t != base}

def report(res, targets, bases, out):
    names = [t["name"] for t in targets]
    summary = {}
    for w, runs in res.items():
        unit = {}
        print("\n### %s: %s" % (w, BYNAME[w]["what"]), file=out)
        keys = [k for k, _ in COLS if any(r.get(k) is not None for t in names for r in runs.get(t, []))]
        print("| target | " + " | ".join(dict(COLS)[k] for k in keys) + " | n |", file=out)
        print("|---" * (len(keys) + 2) + "|", file=out)
        for t in names:
            rs = [r for r in runs.get(t, []) if "error" not in r]
            errs = [r["error"] for r in runs.get(t, []) if "error" in r]
            if not rs:
                print("| %s | %s |" % (t, "not run: " + (errs[0] if errs else "")), file=out)
                continue
            m = {k: med([r.get(k) for r in rs]) for k in keys}
            unit[t] = m
            print("| %s | %s | %d%s |" % (t, " | ".join(fmt(m[k]) for k in keys), len(rs),
                                          " (%d failed)" % len(errs) if errs else ""), file=out)
        summary[w] = dict(median=unit, ratio={b: ratios(runs, unit, b) for b in bases})
    for b in bases:
        print("\n## Ratios to %s (median of per-round ratios; tps: higher is better, others: lower)" % b, file=out)
        print("| workload | target | tps | p50 | p99 | CPU/txn | mem/idle conn |\n|---|---|---|---|---|---|---|", file=out)
        for w, s in summary.items():
            for t, ra in s["ratio"][b].items():
                print("| %s | %s | %s |" % (w, t, " | ".join(fmt(ra[k]) for k in RATIOS)), file=out)
    out.flush()
    return summary

# ----------------------------------------------------------------- commands

def parse_target(s):
    name, _, rest = s.partition("=")
    p = rest.rsplit(":", 3) if rest.count(":") >= 3 else rest.split(":")
    if len(p) < 3:
        sys.exit("a target is NAME=HOST:PORT:PID[:TLSPORT], not " + s)
    check_loopback(p[0])
    return dict(name=name, host=p[0], port=int(p[1]), pid=int(p[2]), tls=int(p[3]) if len(p) > 3 else 0)

def raise_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = hard if hard != resource.RLIM_INFINITY else 65536
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    except (ValueError, OSError):
        pass

def cmd_list(a):
    for w in WORKLOADS:
        print("%-9s %s" % (w["name"], w["what"]))

def cmd_serve(a):
    st = Stack(a)
    try:
        port = st.start_pg(a.pg_port or free_port())
        pp = a.pgbouncer_port or free_port()
        pid, ver = st.start_pgbouncer(pp, "127.0.0.1", port)
        print("PostgreSQL 127.0.0.1:%d   PgBouncer %s: --target pgbouncer=127.0.0.1:%d:%d" % (port, ver, pp, pid))
        print("stop with ctrl-C (or after %d s)" % a.max_seconds, flush=True)
        time.sleep(a.max_seconds)
    except KeyboardInterrupt:
        pass
    finally:
        st.stop()

def cmd_storm(a):
    """Others' queries beside log-ins at a rate: at the same proxy, and, as the control, at a second one that has nothing else to do."""
    raise_limit()
    st = Stack(a); st.tls = True
    try:
        host, port = "127.0.0.1", st.start_pg(a.pg_port or free_port())
        busy = st.start_ours("heliosproxy", a.program, host, port)
        second = st.start_ours("second", a.program, host, port)
        w = dict(c=a.clients, args=["-S"])
        if a.query_rate:
            w["args"] += ["-R", str(a.query_rate)]
        print("pgbench -S, %d clients%s, beside log-ins over TLS by SCRAM; %d rounds of %g s each; %d cores" % (
            a.clients, " at %d/s" % a.query_rate if a.query_rate else "", a.rounds, a.duration, os.cpu_count()), flush=True)
        print("| log-ins offered a second | at | p50 µs | p99 µs | queries/s | log-ins/s | their p50 ms | refused |\n|---|---|---|---|---|---|---|---|", flush=True)
        for rate in [float(x) for x in a.rates.split(",")]:
            got = {"none": [], "itself": [], "second": []}
            refused = {}
            for r in range(a.rounds):
                order = list(got); random.shuffle(order)
                for at in order:
                    p = None
                    if at != "none":
                        p = logins(st, busy if at == "itself" else second, "-tls", "-rate", str(rate), "-clients", str(a.login_clients),
                                   "-length", "%gs" % (a.duration + 1))
                        time.sleep(0.5)
                    x = pgbench(busy, w, a.duration, st.out, a.pg_bin)
                    if p:
                        l = json.loads(p.communicate()[0])
                        x.update(logins=l["done"] / l["seconds"], lp50=l["p50_ms"])
                        for k, v in list(l["refused"].items()) + [("not begun", l["skipped"])]:
                            refused.setdefault(at, {}).setdefault(k, 0); refused[at][k] += v
                        if l.get("words"):
                            refused[at]["words"] = l["words"]
                    got[at].append(x)
            for at, xs in got.items():
                m = lambda k: fmt(med([x.get(k) for x in xs]))
                print("| %g | %s | %s | %s | %s | %s | %s | %s |" % (rate, at, m("p50"), m("p99"), m("tps"), m("logins"), m("lp50"),
                      refused.get(at, "")), flush=True)
            print("p99 to that of the control, by round: median %.2f of %s" % (
                med([x["p99"] / y["p99"] for x, y in zip(got["itself"], got["second"])]),
                ["%.2f" % (x["p99"] / y["p99"]) for x, y in zip(got["itself"], got["second"])]), flush=True)
    finally:
        st.stop()

def cmd_run(a):
    raise_limit()
    ws = [w.strip() for w in (QUICK if a.quick else a.workloads).split(",") if w.strip()]
    if ws == ["all"]:
        ws = [w["name"] for w in WORKLOADS]
    for w in ws:
        if w not in BYNAME:
            sys.exit("no workload '%s' (see: bench.py list)" % w)
    for w in ws if a.tls else ():
        BYNAME[w]["tls"] = True
    if a.quick:
        a.rounds, a.duration = min(a.rounds, 3), min(a.duration, 2)
    st = Stack(a)
    try:
        st.tls = any(BYNAME[w].get("tls") for w in ws)
        if a.pg:
            h, p = a.pg.split(":"); check_loopback(h); host, port = h, int(p)
            st.init_db(host, port)
        else:
            host, port = "127.0.0.1", st.start_pg(a.pg_port or free_port())
        targets = [dict(name="direct", host=host, port=port, pid=0, tls=0)] if a.direct and a.auth == "trust" else []
        given = [parse_target(s) for s in a.target]
        if not any(t["name"] == a.base for t in given) and a.base == "pgbouncer":
            pp = free_port(); pid, ver = st.start_pgbouncer(pp, host, port)
            b = dict(name="pgbouncer", host="127.0.0.1", port=pp, pid=pid, tls=0)
            targets.append(b)
            print("baseline: PgBouncer %s, pool %d" % (ver, a.pool_size))
            if any(BYNAME[w].get("tls") for w in ws):
                tp = free_port(); tpid, _ = st.start_pgbouncer(tp, host, port, tls=True, name="pgbouncer-tls")
                b.update(tls=tp, tlspid=tpid)
        targets += given
        if a.before:
            targets.append(st.start_ours("before", a.before, host, port))
        if a.program:
            targets.append(st.start_ours("heliosproxy", a.program, host, port))
        targets += [parse_target(s) for s in a.candidate]
        for s in a.candidate_cmd:
            name, _, cmd = s.partition("=")
            lp = free_port()
            k, c = st.cert()
            p = st.spawn(name, "exec " + cmd.format(pg_host=host, pg_port=port, listen_port=lp, user=USER, db=DB, dir=st.srv,
                                                    tls_key=k, tls_cert=c, pool_size=a.pool_size), as_postgres=False)
            wait_port(lp)
            # by convention a candidate that also speaks TLS does so on the same port (SSLRequest)
            targets.append(dict(name=name, host="127.0.0.1", port=lp, pid=p.pid, tls=lp if a.candidate_tls else 0))
        print("PostgreSQL %s:%d; %d rounds of %g s, interleaved; load average %s; %d cores; seed %d"
              % (host, port, a.rounds, a.duration, os.getloadavg(), os.cpu_count(), a.seed), flush=True)
        random.seed(a.seed)
        for t in targets:                                     # memory before any load (idle workloads run first)
            if t["pid"] and any("idle" in BYNAME[w] for w in ws):
                c = Raw(t["host"], t["port"]); c.query("SELECT 1"); c.close()
                t["rss0"] = rss_kib(t["pid"])
        ws.sort(key=lambda w: BYNAME[w].get("idle", 1 << 30)) # stable: a warmed proxy reuses freed memory and looks better
        res = {}
        for w in ws:
            res[w] = {t["name"]: [] for t in targets}
            wd = BYNAME[w]
            rounds = 1 if "idle" in wd else a.rounds
            for r in range(-1, rounds):                       # round -1 warms up, unmeasured
                if r < 0 and "idle" in wd:
                    continue
                order = targets[:]; random.shuffle(order)
                for t in order:
                    if res[w][t["name"]] and "error" in res[w][t["name"]][0]:
                        continue                              # failed once: not tried again
                    tt = dict(t, pid=t.get("tlspid", t["pid"])) if wd.get("tls") else t
                    try:
                        x = measure(st, tt, wd, a.duration if r >= 0 else 1, st.out, a.pg_bin)
                    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
                        x = dict(error=str(e))
                    if r >= 0 or "error" in x:
                        res[w][t["name"]].append(x)
            print("  %s: %s" % (w, ", ".join("%s %s" % (t["name"], fmt(med([x.get("tps") for x in res[w][t["name"]]])))
                                             for t in targets)), file=sys.stderr, flush=True)
        summary = report(res, targets, [a.base] + (["before"] if a.before else []), sys.stdout)
        if a.json:
            with open(a.json, "w") as f:
                json.dump(dict(raw=res, summary=summary), f, indent=1)
        bad = 0
        for opt, key, worse in ((a.max_cpu_ratio, "cpu", lambda v, l: v > l), (a.min_tps_ratio, "tps", lambda v, l: v < l)):
            for g in opt:
                w, _, lim = g.partition(":")
                for t, ra in summary.get(w, {}).get("ratio", {}).get(a.base, {}).items():
                    if t in ("direct", "before") or ra.get(key) is None:
                        continue
                    if worse(ra[key], float(lim)):
                        print("GATE FAILED: %s %s %s ratio %.2f, limit %s" % (w, t, key, ra[key], lim)); bad = 1
        return bad
    finally:
        st.stop()

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = ap.add_subparsers(dest="cmd", required=True)
    common = argparse.ArgumentParser(add_help=False)
    pgb = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    common.add_argument("--pg-bin", default=pgb[-1] if pgb else "/usr/bin")
    common.add_argument("--pgbouncer", default=shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin") or "pgbouncer")
    common.add_argument("--workdir", default="/tmp")
    common.add_argument("--pool-size", type=int, default=16)
    common.add_argument("--pg-port", type=int, default=0)
    common.add_argument("--auth", choices=["trust", "scram"], default="trust", help="how clients log in at the proxies")
    common.add_argument("--keep", action="store_true", help="keep the temporary directory")
    s = sub.add_parser("serve", parents=[common], help="keep PostgreSQL + PgBouncer up")
    s.add_argument("--pgbouncer-port", type=int, default=0)
    s.add_argument("--max-seconds", type=int, default=3600)
    r = sub.add_parser("run", parents=[common], help="measure")
    r.add_argument("--pg", help="HOST:PORT of a running PostgreSQL (role bench, database bench)")
    r.add_argument("--program", default=os.path.join(ROOT, "bin/heliosproxy"), help="our build; empty: none")
    r.add_argument("--before", help="another build of ours, that ratios are taken to as well")
    r.add_argument("--base", default="pgbouncer", help="the target that ratios are taken to")
    r.add_argument("--target", action="append", default=[], help="NAME=HOST:PORT:PID[:TLSPORT]")
    r.add_argument("--candidate", action="append", default=[], help="the same, already running")
    r.add_argument("--candidate-cmd", action="append", default=[], help="NAME=COMMAND with placeholders, started here")
    r.add_argument("--candidate-tls", action="store_true", help="commands speak TLS on the same port ({tls_key} {tls_cert})")
    r.add_argument("--no-direct", dest="direct", action="store_false")
    r.add_argument("--workloads", default=USUAL, help="comma-separated, or all (see list)")
    r.add_argument("--quick", action="store_true")
    r.add_argument("--rounds", type=int, default=5)
    r.add_argument("--duration", type=float, default=3)
    r.add_argument("--seed", type=int, default=1)
    r.add_argument("--tls", action="store_true", help="every workload over TLS")
    r.add_argument("--json")
    r.add_argument("--max-cpu-ratio", action="append", default=[], metavar="WORKLOAD:X")
    r.add_argument("--min-tps-ratio", action="append", default=[], metavar="WORKLOAD:X")
    m = sub.add_parser("storm", parents=[common], help="others' queries beside log-ins")
    m.set_defaults(auth="scram")
    m.add_argument("--program", default=os.path.join(ROOT, "bin/heliosproxy"))
    m.add_argument("--rates", default="200,1000", help="log-ins a second, with commas between")
    m.add_argument("--clients", type=int, default=8, help="of pgbench")
    m.add_argument("--query-rate", type=int, default=0, help="queries a second; 0: as many as they can")
    m.add_argument("--login-clients", type=int, default=300, help="log-ins under way, at most")
    m.add_argument("--rounds", type=int, default=3)
    m.add_argument("--duration", type=int, default=10)
    sub.add_parser("list", help="workloads")
    a = ap.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))   # so that the servers are stopped and the directory goes
    if a.cmd == "run":
        a.duration = int(max(1, a.duration))
    sys.exit({"list": cmd_list, "serve": cmd_serve, "run": cmd_run, "storm": cmd_storm}[a.cmd](a) or 0)

if __name__ == "__main__":
    main()
