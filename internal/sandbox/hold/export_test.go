package hold

// The times of Leases.
const (
	ConfirmTimeout = confirmTimeout
	LastRedial     = lastRedial
)
