package wire

import (
	typesv1 "patchbay.dev/patchbay/api/patchbay/types/v1"
	"patchbay.dev/patchbay/resource"
)

// LogLimitsToProto converts the limits of a log; nil for what is usual.
func LogLimitsToProto(l resource.LogLimits) *typesv1.LogLimits {
	if l == (resource.LogLimits{}) {
		return nil
	}
	return &typesv1.LogLimits{MaxBytes: l.MaxBytes, MaxFiles: int32(l.MaxFiles)}
}

// LogLimitsFromProto converts the limits of a log.
func LogLimitsFromProto(l *typesv1.LogLimits) resource.LogLimits {
	return resource.LogLimits{MaxBytes: l.GetMaxBytes(), MaxFiles: int(l.GetMaxFiles())}
}
