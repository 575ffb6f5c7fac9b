package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/internal/wire/field"
	"patchbay.dev/patchbay/resource"
)

// ExplainedToProto converts an answer with its reason; nil for none.
func ExplainedToProto(e resource.Explained) *typesv1.Explained {
	if e == (resource.Explained{}) {
		return nil
	}
	return &typesv1.Explained{Answer: e.Answer, Why: e.Why}
}

// ExplainedFromProto converts an answer with its reason.
func ExplainedFromProto(e *typesv1.Explained) resource.Explained {
	return resource.Explained{Answer: e.GetAnswer(), Why: e.GetWhy()}
}

// ExplanationsToProto converts the ways to destinations.
func ExplanationsToProto(es []resource.Explanation) []*typesv1.Explanation {
	return field.Each(es, func(e resource.Explanation) *typesv1.Explanation {
		return &typesv1.Explanation{
			Target:    e.Target,
			Address:   field.AddrString(e.Address),
			Names:     field.Each(e.Names, ExplainedToProto),
			Source:    ExplainedToProto(e.Source),
			Rule:      ExplainedToProto(e.Rule),
			Route:     ExplainedToProto(e.Route),
			Gateway:   ExplainedToProto(e.Gateway),
			Interface: ExplainedToProto(e.Interface),
			Network:   ExplainedToProto(e.Network),
			Plugin:    ExplainedToProto(e.Plugin),
			Firewall:  ExplainedToProto(e.Firewall),
		}
	})
}

// ExplanationsFromProto converts the ways to destinations.
func ExplanationsFromProto(es []*typesv1.Explanation) ([]resource.Explanation, error) {
	var f field.Faults
	out := field.Each(es, func(e *typesv1.Explanation) resource.Explanation {
		return resource.Explanation{
			Target:    e.GetTarget(),
			Address:   f.Addr("address", e.GetAddress()),
			Names:     field.Each(e.GetNames(), ExplainedFromProto),
			Source:    ExplainedFromProto(e.GetSource()),
			Rule:      ExplainedFromProto(e.GetRule()),
			Route:     ExplainedFromProto(e.GetRoute()),
			Gateway:   ExplainedFromProto(e.GetGateway()),
			Interface: ExplainedFromProto(e.GetInterface()),
			Network:   ExplainedFromProto(e.GetNetwork()),
			Plugin:    ExplainedFromProto(e.GetPlugin()),
			Firewall:  ExplainedFromProto(e.GetFirewall()),
		}
	})
	return out, f.Err()
}
