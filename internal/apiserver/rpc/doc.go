// Package rpc holds the harnesses of patchbayd's services: they decode, call and
// encode, and decide nothing.
package rpc
