package rpc

import (
	"context"

	"connectrpc.com/connect/v2"

	"patchbay.dev/patchbay/internal/rpc/edge"
	"patchbay.dev/patchbay/internal/trace"
)

// traced makes each call that a server answers a span, if its caller says that it is part
// of a trace, or somebody wants to know of all.
func traced(r *trace.Recorder) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		if r == nil {
			return next
		}
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			var parent trace.Parent
			if info, ok := connect.CallInfoForServerContext(ctx); ok {
				h := info.RequestHeader()
				parent = trace.ParseParent(h.Get(trace.ParentHeader), h.Get(trace.StateHeader))
			}
			ctx, span := r.Join(ctx, edge.Method(spec), trace.Serve, parent)
			err := next(ctx, spec, stream)
			span.End(err)
			return err
		}
	}
}
