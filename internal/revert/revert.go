// Package revert undoes the done steps of a sequence when a later one fails.
package revert

import "errors"

// Stack holds how to undo what has been done so far. The zero value is ready.
// It is not safe for concurrent use.
//
//	func attach() (err error) {
//		var undo revert.Stack
//		defer undo.Run(&err)
//		...
//		undo.Add(func() error { return remove(link) })
//		...
//		undo.Success()
//		return nil
//	}
type Stack struct {
	steps []func() error
}

// Add registers how to undo the step just done.
func (s *Stack) Add(step func() error) { s.steps = append(s.steps, step) }

// Success keeps everything: a later Run does nothing.
func (s *Stack) Success() { s.steps = nil }

// Run undoes all steps in reverse order and joins what went wrong to *err. One
// that fails does not stop the rest. It is meant to be deferred; after Success
// and when called again it does nothing.
func (s *Stack) Run(err *error) {
	steps := s.steps
	s.steps = nil
	for i := len(steps) - 1; i >= 0; i-- {
		if e := steps[i](); e != nil {
			*err = errors.Join(*err, e)
		}
	}
}
