// Package wire converts between resource values and the messages that the
// contracts in api share, and between errors and RPC codes. What one contract has
// alone is in the packages below it, so that a program links the messages of the
// contracts that it speaks, and no others. Nothing else converts.
//
// Functions named XToProto cannot fail. Functions named XFromProto report every
// malformed field at once as errdefs.ErrInvalidArgument; they check form only,
// what the values mean is for the receiver.
package wire
