// Package wire converts between resource values and the messages of api, and
// between errors and RPC codes. Nothing else converts.
//
// Functions named XToProto cannot fail. Functions named XFromProto report every
// malformed field at once as errdefs.ErrInvalidArgument; they check form only,
// what the values mean is for the receiver.
package wire
