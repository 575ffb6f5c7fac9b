package plan

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containerd/errdefs"

	guestv1 "patchbay.dev/patchbay/api/patchbay/guest/v1"
	"patchbay.dev/patchbay/internal/sandbox/explain"
)

// Question is for whose packet a route is asked; Source is zero for one that has no
// address yet.
type Question struct{ Destination, Source netip.Addr }

// QuestionToProto converts a question.
func QuestionToProto(q Question) *guestv1.RouteRequest {
	return &guestv1.RouteRequest{Destination: text(q.Destination), Source: text(q.Source)}
}

// QuestionFromProto converts a question; what cannot be read is
// errdefs.ErrInvalidArgument.
func QuestionFromProto(r *guestv1.RouteRequest) (q Question, err error) {
	err = errors.Join(
		parse("destination", r.GetDestination(), &q.Destination, netip.ParseAddr),
		parse("source", r.GetSource(), &q.Source, netip.ParseAddr),
	)
	return q, err
}

// RouteToProto converts an answer.
func RouteToProto(r explain.Route) *guestv1.RouteResponse {
	return &guestv1.RouteResponse{
		Interface: r.Interface, Destination: text(r.Destination), Gateway: text(r.Gateway), Source: text(r.Source),
		Local: r.Local, Table: r.Table, Rule: r.Rule,
	}
}

// RouteFromProto converts an answer; what cannot be read is
// errdefs.ErrInvalidArgument.
func RouteFromProto(r *guestv1.RouteResponse) (explain.Route, error) {
	out := explain.Route{Interface: r.GetInterface(), Local: r.GetLocal(), Table: r.GetTable(), Rule: r.GetRule()}
	err := errors.Join(
		parse("destination", r.GetDestination(), &out.Destination, netip.ParsePrefix),
		parse("gateway", r.GetGateway(), &out.Gateway, netip.ParseAddr),
		parse("source", r.GetSource(), &out.Source, netip.ParseAddr),
	)
	return out, err
}

// value is an address or a prefix.
type value interface {
	IsValid() bool
	String() string
}

// text is a value as it is carried, "" for the zero one.
func text(v value) string {
	if !v.IsValid() {
		return ""
	}
	return v.String()
}

// parse is the inverse of text.
func parse[T any](what, from string, to *T, read func(string) (T, error)) (err error) {
	if from == "" {
		return nil
	}
	if *to, err = read(from); err != nil {
		return fmt.Errorf("%s %q: %w: %w", what, from, errdefs.ErrInvalidArgument, err)
	}
	return nil
}
