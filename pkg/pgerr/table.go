package pgerr

// ID names a row of the table.
type ID int

// The errors that the proxy makes.
const (
	ProtocolViolation ID = iota
	UnsupportedProtocol
	InvalidStartup
	ProxyHeader
	NoUserName
	ReplicationValue
	ReplicationMode
	InjectedBytes
	AuthenticationFailed
	TrustFailed
	CertificateFailed
	PeerFailed
	NoCertificate
	CertificateRefused
	TLSRequired
	NothingToBind
	BindingFailed
	SASLUnsupported
	NoRule
	RuleRejects
	UserLookup
	NotJudged
	TooManyClients
	TooManyFailures
	LoginsBusy
	DoorClosed
	UnknownDatabase
	QueueTimeout
	Canceled
	StillWaiting
	QueryTimeout
	QueryStuck
	TransactionTimeout
	IdleTransactionTimeout
	ClientIdleTimeout
	ServerUnreachable
	ConnectQuery
	ServerPassword
	ServerPasswordSource
	ServerKey
	ServerAuthentication
	ServerLost
	ServerLostIdle
	SettingsLost
	StatementLimit
	StatementBytes
	OneStatement
	OneStatementUnseen
	PinRefused
	PinDropped
	NotificationsLost
	ListenFailed
	ListeningChannels
	ResultChanged
	LoginTimeout
	ShuttingDown
	Removed
	DatabaseDisabled
	AdminEnded
	ConsoleClosed
	ConsoleDenied
	ConsoleSyntax
	ConsoleStatement
	ConsoleNoStatement
	ConsoleNoPortal
	ConsoleFormats
	ConsoleFormat
	ConsoleUsage
	ConsoleFailed
	ConsoleDatabase
	ConsoleClient
	ConsoleTimeout
	ConsoleResumed
	ConsoleSetting
	ConsoleElsewhere
	InternalError
	NotReady
	count // of them
)

// Count is the number of rows.
const Count = int(count)

var table = [...]Entry{
	ProtocolViolation:      {Severity: Fatal, SQLState: "08P01", Sentence: "protocol violation: %s", Tested: "dataplane/assembly.TestGarbage"},
	UnsupportedProtocol:    {Severity: Fatal, SQLState: "0A000", Sentence: "unsupported frontend protocol %d.%d: the proxy supports 3.0 to 3.2", Tested: "dataplane/startup.TestStep"},
	InvalidStartup:         {Severity: Fatal, SQLState: "08P01", Sentence: "invalid startup packet: %s", Tested: "dataplane/startup.TestStep"},
	ProxyHeader:            {Severity: Fatal, SQLState: "08P01", Sentence: "invalid PROXY protocol header: %s", Hint: "From this address the listener takes connections with such a header only: see proxy_protocol.", Tested: "dataplane/assembly/access.TestProxyProtocol"},
	NoUserName:             {Severity: Fatal, SQLState: "28000", Sentence: "no PostgreSQL user name specified in startup packet", Tested: "dataplane/startup.TestStep"},
	ReplicationValue:       {Severity: Fatal, SQLState: "22023", Sentence: "invalid value for parameter \"replication\": %q", Hint: "Valid values are: \"false\", 0, \"true\", 1, \"database\".", Tested: "dataplane/startup.TestStep"},
	ReplicationMode:        {Severity: Fatal, SQLState: "0A000", Sentence: "replication connections are not possible in pool mode %s, which database %q has", Hint: "Use a database with pool mode session, or connect to the server directly.", Tested: "dataplane/assembly.TestReplicationMode"},
	InjectedBytes:          {Severity: Fatal, SQLState: "08P01", Sentence: "received unencrypted data after SSL or GSSENC request", Hint: "This could be a bug in the client or an attack on the connection.", Tested: "dataplane/startup.TestStep"},
	AuthenticationFailed:   {Severity: Fatal, SQLState: "28P01", Sentence: "password authentication failed for user %q", Tested: "dataplane/assembly/access.TestAuthentication"},
	TrustFailed:            {Severity: Fatal, SQLState: "28000", Sentence: "\"trust\" authentication failed for user %q", Tested: "dataplane/auth.TestDoor"},
	CertificateFailed:      {Severity: Fatal, SQLState: "28000", Sentence: "certificate authentication failed for user %q", Tested: "dataplane/auth.TestDoor"},
	PeerFailed:             {Severity: Fatal, SQLState: "28000", Sentence: "peer authentication failed for user %q", Tested: "dataplane/auth.TestDoor"},
	NoCertificate:          {Severity: Fatal, SQLState: "28000", Sentence: "connection requires a valid client certificate", Tested: "dataplane/auth.TestDoor"},
	CertificateRefused:     {Severity: Fatal, SQLState: "28000", Sentence: "client certificate was refused: %s", Tested: "dataplane/assembly.TestClientCertificates"},
	TLSRequired:            {Severity: Fatal, SQLState: "28000", Sentence: "connection requires TLS", Hint: "Set sslmode to require or a stricter one.", Tested: "dataplane/assembly/access.TestSSLModes"},
	NothingToBind:          {Severity: Fatal, SQLState: "28000", Sentence: "log-in must be bound to a TLS connection, and there is none", Hint: "Set sslmode to require or a stricter one.", Tested: "dataplane/auth.TestProofs"},
	BindingFailed:          {Severity: Fatal, SQLState: "28000", Sentence: "log-in is not bound to this TLS connection: %s", Tested: "dataplane/auth.TestBinding"},
	SASLUnsupported:        {Severity: Fatal, SQLState: "0A000", Sentence: "%s", Tested: "dataplane/auth.TestMalformed"},
	NoRule:                 {Severity: Fatal, SQLState: "28000", Sentence: "no pg_hba.conf entry for %s", Tested: "dataplane/auth.TestDoor"},
	RuleRejects:            {Severity: Fatal, SQLState: "28000", Sentence: "pg_hba.conf rejects %s", Tested: "dataplane/auth.TestDoor"},
	UserLookup:             {Severity: Fatal, SQLState: "57P03", Sentence: "users cannot be looked up at the moment", Hint: "The proxy's log says why.", Tested: "dataplane/assembly.TestAuthQuery"},
	NotJudged:              {Severity: Fatal, SQLState: "57P03", Sentence: "log-ins cannot be judged at the moment", Hint: "The proxy's log says why.", Tested: "dataplane/assembly/access.TestProgram"},
	TooManyClients:         {Severity: Fatal, SQLState: "53300", Sentence: "too many clients %s", Tested: "dataplane/assembly.TestClientLimits"},
	TooManyFailures:        {Severity: Fatal, SQLState: "28000", Sentence: "too many failed log-ins %s: try again in %s", Tested: "dataplane/assembly.TestFailedLogins"},
	LoginsBusy:             {Severity: Fatal, SQLState: "53300", Sentence: "too many log-ins are under way", Hint: "Try again in a moment.", Tested: "dataplane/assembly.TestLoginsQueue"},
	DoorClosed:             {Severity: Fatal, SQLState: "28000", Sentence: "no authentication is configured, so only clients on this machine are let in", Hint: "Set mode in the [auth] section of the proxy's configuration.", Tested: "dataplane/auth.TestDoor"},
	UnknownDatabase:        {Severity: Fatal, SQLState: "3D000", Sentence: "database %q is not known to the proxy", Hint: "Add it to [[databases]], or to [databases] of a pgbouncer.ini.", Tested: "dataplane/assembly/access.TestUnknownDatabase"},
	QueueTimeout:           {Severity: Failure, SQLState: "53300", Sentence: "no server connection became free within %s", Hint: "All connections that the pool may have are in use: see max_connections and acquire_timeout_secs (pool_size and query_wait_timeout in a pgbouncer.ini).", Tested: "dataplane/assembly/servers.TestQueueTimeout"},
	Canceled:               {Severity: Failure, SQLState: "57014", Sentence: "canceling statement due to user request", Tested: "dataplane/assembly/servers.TestCancelInQueue"},
	StillWaiting:           {Severity: Notice, SQLState: "00000", Sentence: "still waiting for a server connection after %s: number %d in the queue of %d, %d ahead", Tested: "dataplane/assembly.TestWaitNotice"},
	QueryTimeout:           {Severity: Warning, SQLState: "57014", Sentence: "canceling statement: it has run for %s", Hint: "The limit is query_timeout_secs of the pool.", Tested: "dataplane/assembly/servers.TestQueryTimeout"},
	QueryStuck:             {Severity: Fatal, SQLState: "57014", Sentence: "terminating connection: a statement has run for %s and does not end when it is canceled", Hint: "The limit is query_timeout_secs of the pool.", Tested: "dataplane/assembly/servers.TestQueryStuck"},
	TransactionTimeout:     {Severity: Fatal, SQLState: "25P04", Sentence: "terminating connection due to transaction timeout", Hint: "The limit is transaction_timeout_secs of the pool.", Tested: "dataplane/assembly/servers.TestTransactionTimeouts"},
	IdleTransactionTimeout: {Severity: Fatal, SQLState: "25P03", Sentence: "terminating connection due to idle-in-transaction timeout", Hint: "The limit is idle_transaction_timeout_secs of the pool.", Tested: "dataplane/assembly/servers.TestTransactionTimeouts"},
	ClientIdleTimeout:      {Severity: Fatal, SQLState: "57P05", Sentence: "terminating connection due to idle-session timeout", Hint: "The limit is client_idle_timeout_secs of the pool.", Tested: "dataplane/assembly/servers.TestTransactionTimeouts"},
	ServerUnreachable:      {Severity: Failure, SQLState: "08001", Sentence: "cannot reach server %s: %s", Tested: "dataplane/assembly/servers.TestServerUnreachable"},
	ConnectQuery:           {Severity: Failure, SQLState: "08001", Sentence: "connect_query failed at server %s: %s", Hint: "Set connect_query of the pool to something that works.", Tested: "dataplane/assembly/servers.TestConnectQuery"},
	ServerPassword:         {Severity: Failure, SQLState: "28P01", Sentence: "server %s asks for a password that the proxy does not have: set server_password for %s", Tested: "dataplane/assembly/access.TestServerAuthentication"},
	ServerPasswordSource:   {Severity: Failure, SQLState: "08001", Sentence: "there is no password for server %s as %q: %s", Tested: "dataplane/assembly/access.TestPasswordSources"},
	ServerKey:              {Severity: Failure, SQLState: "28P01", Sentence: "server %s asks for SCRAM, and the proxy has no password of user %q and no key for it: %s", Hint: "Log in to the proxy by SCRAM once, or set server_password.", Tested: "dataplane/assembly.TestPassThrough"},
	ServerAuthentication:   {Severity: Failure, SQLState: "28000", Sentence: "cannot log in at server %s as %q: %s", Tested: "dataplane/assembly/access.TestServerMethod"},
	ServerLost:             {Severity: Fatal, SQLState: "08006", Sentence: "server closed the connection unexpectedly; whether the statement was carried out is not known", Tested: "dataplane/assembly.TestServerLost"},
	ServerLostIdle:         {Severity: Fatal, SQLState: "08006", Sentence: "server closed the connection", Tested: "dataplane/assembly.TestServerLost"},
	SettingsLost:           {Severity: Fatal, SQLState: "08006", Sentence: "the server refused a setting of this session that it had accepted before: %s", Tested: "dataplane/session.TestHiddenFailure"},
	StatementLimit:         {Severity: Failure, SQLState: "53400", Sentence: "this session holds %d prepared statements and may hold no more", Hint: "Close statements that are not needed, or raise max_prepared_statements.", Tested: "dataplane/assembly/sessions.TestStatementLimits"},
	StatementBytes:         {Severity: Failure, SQLState: "53400", Sentence: "the text of this session's prepared statements would take more than %d bytes", Hint: "Close statements that are not needed, or raise max_prepared_bytes.", Tested: "dataplane/assembly/sessions.TestStatementLimits"},
	OneStatement:           {Severity: Failure, SQLState: "0A000", Sentence: "transaction blocks are not allowed in pool mode statement", Hint: "Use pool mode transaction for this database.", Tested: "dataplane/assembly/sessions.TestStatementMode"},
	OneStatementUnseen:     {Severity: Failure, SQLState: "0A000", Sentence: "statements that are larger than max_statement_bytes are not allowed in pool mode statement", Hint: "They are not looked at, and could begin a transaction block: raise max_statement_bytes, or use pool mode transaction for this database.", Tested: "dataplane/assembly/sessions.TestStatementMode"},
	PinRefused:             {Severity: Failure, SQLState: "0A000", Sentence: "this statement would keep the server connection: %s", Hint: "The pool's pin is error: use pool mode session, or pin = on.", Tested: "dataplane/assembly/sessions.TestPinRefused"},
	PinDropped:             {Severity: Warning, SQLState: "01000", Sentence: "dropped at the end of the transaction: %s", Hint: "The pool's pin is not on: use pool mode session, or pin = on.", Tested: "dataplane/assembly/sessions.TestPinDropped"},
	NotificationsLost:      {Severity: Warning, SQLState: "01000", Sentence: "notifications may have been lost", Hint: "The connection that listens for all sessions was lost, or this client has not read for long: look again at what the notifications are about.", Tested: "dataplane/assembly/sessions.TestNotificationsLost"},
	ListenFailed:           {Severity: Failure, SQLState: "08001", Sentence: "LISTEN is not possible now: the connection that listens for all sessions is not there", Hint: "Prepare the statement again, or use the simple protocol: then the server connection of this session listens.", Tested: "dataplane/assembly/sessions.TestListenFailed"},
	ListeningChannels:      {Severity: Failure, SQLState: "0A000", Sentence: "pg_listening_channels() cannot be asked within a transaction of a session that listens", Hint: "Ask before the transaction, or set the pool's listen to pin.", Tested: "dataplane/assembly/sessions.TestListeningChannels"},
	ResultChanged:          {Severity: Failure, SQLState: "0A000", Sentence: "cached plan must not change result type", Routine: "RevalidateCachedQuery", Tested: "dataplane/assembly/sessions.TestResultChanged"},
	LoginTimeout:           {Severity: Fatal, SQLState: "08006", Sentence: "log-in took longer than %s", Tested: "dataplane/assembly.TestGarbage"},
	ShuttingDown:           {Severity: Fatal, SQLState: "57P01", Sentence: "terminating connection: the proxy is shutting down", Tested: "dataplane/assembly.TestDrain"},
	Removed:                {Severity: Fatal, SQLState: "57P01", Sentence: "terminating connection: %s was removed from the proxy's configuration", Tested: "dataplane/assembly.TestReload"},
	DatabaseDisabled:       {Severity: Fatal, SQLState: "55000", Sentence: "database %q is not currently accepting connections", Hint: "An administrator has disabled it: ENABLE on the console lets clients in again.", Tested: "dataplane/assembly.TestConsoleDisable"},
	AdminEnded:             {Severity: Fatal, SQLState: "57P01", Sentence: "terminating connection due to administrator command", Tested: "dataplane/assembly.TestConsoleKill"},
	ConsoleClosed:          {Severity: Fatal, SQLState: "42501", Sentence: "user %q may not use the console", Hint: "Users who may are named by console.admin_users and console.stats_users.", Tested: "dataplane/assembly.TestConsoleRights"},
	ConsoleDenied:          {Severity: Failure, SQLState: "42501", Sentence: "%s may be used by administrators only", Hint: "They are named by console.admin_users.", Tested: "dataplane/assembly.TestConsoleRights"},
	ConsoleSyntax:          {Severity: Failure, SQLState: "42601", Sentence: "%s", Hint: "SHOW HELP lists what there is.", Tested: "dataplane/console.TestRefused"},
	ConsoleStatement:       {Severity: Failure, SQLState: "42P05", Sentence: "prepared statement %q already exists", Tested: "dataplane/console.TestExtended"},
	ConsoleNoStatement:     {Severity: Failure, SQLState: "26000", Sentence: "prepared statement %q does not exist", Tested: "dataplane/console.TestExtended"},
	ConsoleNoPortal:        {Severity: Failure, SQLState: "34000", Sentence: "portal %q does not exist", Tested: "dataplane/console.TestExtended"},
	ConsoleFormats:         {Severity: Failure, SQLState: "08P01", Sentence: "bind message has %d result formats but query has %d columns", Tested: "dataplane/console.TestExtended"},
	ConsoleFormat:          {Severity: Failure, SQLState: "22023", Sentence: "unsupported format code: %d", Tested: "dataplane/console.TestExtended"},
	ConsoleUsage:           {Severity: Notice, SQLState: "00000", Sentence: "Console usage", Tested: "dataplane/console.TestHelp"},
	ConsoleFailed:          {Severity: Failure, SQLState: "58000", Sentence: "%v", Tested: "dataplane/console.TestRefused"},
	ConsoleDatabase:        {Severity: Failure, SQLState: "3D000", Sentence: "there is no database %q", Hint: "SHOW DATABASES lists those that there are.", Tested: "dataplane/assembly.TestConsoleRefusals"},
	ConsoleClient:          {Severity: Failure, SQLState: "42704", Sentence: "there is no client %d", Hint: "SHOW CLIENTS lists their ids.", Tested: "dataplane/assembly.TestConsoleRefusals"},
	ConsoleTimeout:         {Severity: Failure, SQLState: "57014", Sentence: "%s has given up after %s: %s", Tested: "dataplane/assembly.TestPauseTimeout"},
	ConsoleResumed:         {Severity: Failure, SQLState: "55000", Sentence: "%s was ended by RESUME before it was complete", Tested: "dataplane/assembly.TestPauseResumed"},
	ConsoleSetting:         {Severity: Failure, SQLState: "22023", Sentence: "cannot set %s: %s", Tested: "dataplane/assembly.TestConsoleRefusals"},
	ConsoleElsewhere:       {Severity: Failure, SQLState: "0A000", Sentence: "%s is not for this proxy to do: %s", Tested: "dataplane/assembly.TestConsoleRefusals"},
	InternalError:          {Severity: Fatal, SQLState: "XX000", Sentence: "internal error of the proxy; this session is ended", Tested: "dataplane/serve.TestPanic"},
	NotReady:               {Severity: Fatal, SQLState: "57P03", Sentence: "the proxy has no configuration yet", Tested: "dataplane/serve.TestNotReady"},
}
