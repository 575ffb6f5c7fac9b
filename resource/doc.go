// Package resource holds the nouns of Patchbay as plain values: networks,
// containers and images, what a user may ask of them (configuration) and what
// is true of them (status).
//
// A value that its Validate accepts can be stored and passed on without
// further checks of form; whether the things it names exist is for the
// services to say. The package knows nothing of RPC, storage or Linux.
package resource
