// Package parse turns the values of command line flags into the nouns of
// package resource. Everything here is pure: what a parser needs of its
// surroundings, such as the environment, it is given.
//
// An error tells every fault of its value, joined, each naming the value, what
// is wrong with it and what is accepted.
package parse
