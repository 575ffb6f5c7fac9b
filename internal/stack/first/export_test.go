package first

// Grow makes the stack of the goroutine that calls it.
func Grow() { grow(false) }
