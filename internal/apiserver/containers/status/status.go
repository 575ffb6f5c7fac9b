// Package status says what is true of a container.
package status

import (
	sandboxv1 "patchbay.dev/patchbay/api/patchbay/sandbox/v1"
	"patchbay.dev/patchbay/internal/apiserver/containers/disk"
	"patchbay.dev/patchbay/internal/wire"
	"patchbay.dev/patchbay/resource"
)

// Ended is the status of a container that does not run.
func Ended(last *disk.Exit) resource.ContainerStatus {
	if last == nil {
		return resource.ContainerStatus{State: resource.ContainerCreated}
	}
	return resource.ContainerStatus{
		State: resource.ContainerStopped, Message: last.Message,
		StartedAt: last.StartedAt, ExitedAt: last.ExitedAt,
		ExitCode: last.Code, OutOfMemory: last.OutOfMemory,
	}
}

// Told completes a status by what the helper says.
func Told(status resource.ContainerStatus, answer *sandboxv1.StateResponse) resource.ContainerStatus {
	if exit := answer.GetExit(); answer.GetState() == sandboxv1.SandboxState_SANDBOX_STATE_STOPPED && exit != nil {
		return resource.ContainerStatus{
			State: resource.ContainerStopped, Message: exit.GetMessage(),
			StartedAt: status.StartedAt, ExitedAt: exit.GetExitedAt().AsTime(),
			ExitCode: int(exit.GetCode()), OutOfMemory: exit.GetOutOfMemory(),
		}
	}
	status.PID = int(answer.GetPid())
	status.Faults = answer.GetFaults()
	if attachments, err := wire.AttachmentsFromProto(answer.GetAttachments()); err == nil {
		status.Attachments = attachments
	} else {
		status.Faults = append(status.Faults, err.Error())
	}
	if answer.GetStartedAt() != nil {
		status.StartedAt = answer.GetStartedAt().AsTime()
	}
	return status
}

// HasEnded reports whether nothing of a container runs or is about to.
func HasEnded(state resource.ContainerState) bool {
	return state == resource.ContainerCreated || state == resource.ContainerStopped
}
