package sandbox

// Protocol is the version of patchbay.sandbox.v1 that helpers speak.
const Protocol = 1

// The environment of a runtime helper. One that is started on standby, before
// there is a sandbox for it, has neither of the first two.
const (
	IDVariable       = "PATCHBAY_SANDBOX_ID"
	StateDirVariable = "PATCHBAY_STATE_DIR"
	// CacheDirVariable names a directory for what can be made anew, which all
	// helpers of an instance share. It need not exist, nor be given.
	CacheDirVariable = "PATCHBAY_CACHE_DIR"
)
