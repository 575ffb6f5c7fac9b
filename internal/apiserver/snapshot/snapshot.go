// Package snapshot keeps what is made of a resource beside it for as long as it is as it
// was, so that a list of thousands makes that of what has changed alone.
package snapshot

import "sync/atomic"

// Of is a resource as it was at one moment. Nobody changes the value, or what it refers
// to: who describes a resource that is as it was returns the same Of, and else another.
// It is safe for concurrent use.
type Of[T any] struct {
	Value T

	encoded [forms]atomic.Pointer[[]byte]
}

// Form is one of the ways in which a resource is encoded.
type Form int

// The forms.
const (
	Whole Form = iota
	Brief
	forms
)

// Encoded returns the value in a form, which encode makes of it when it is asked for the
// first time, and nobody changes.
func (o *Of[T]) Encoded(form Form, encode func(*T) ([]byte, error)) ([]byte, error) {
	if kept := o.encoded[form].Load(); kept != nil {
		return *kept, nil
	}
	made, err := encode(&o.Value)
	if err != nil {
		return nil, err
	}
	o.encoded[form].Store(&made)
	return made, nil
}
