// Package layers holds the tests of the architecture: which package may import
// which, and the rules that every file keeps. It has no code of its own.
package layers
