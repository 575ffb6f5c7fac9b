package vm

import (
	"context"
	"net/netip"

	"patchbay.dev/patchbay/internal/runtime/vm/plan"
	"patchbay.dev/patchbay/internal/sandbox/explain"
)

var _ explain.Kernel = (*Engine)(nil)

// RouteTo asks the guest's kernel.
func (e *Engine) RouteTo(destination, source netip.Addr) (explain.Route, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	answer, err := e.guest.Route(ctx, plan.QuestionToProto(plan.Question{Destination: destination, Source: source}))
	if err != nil {
		return explain.Route{}, e.explain(err)
	}
	return plan.RouteFromProto(answer)
}
