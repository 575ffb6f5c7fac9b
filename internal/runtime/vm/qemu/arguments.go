package qemu

import (
	"fmt"
	"os"
	"strconv"
)

// arguments is the command line.
func arguments(c Config, files *inherited, qmp, agent *os.File) []string {
	args := append(c.board(),
		"-object", memoryBackend(c)+fmt.Sprintf(",id=mem,size=%d", c.MemoryBytes), "-m", fmt.Sprintf("%dB", c.MemoryBytes),
		"-accel", c.accelerator(), "-cpu", c.model(), "-smp", strconv.Itoa(c.CPUs),
		"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-kernel", files.path(c.Kernel), "-initrd", files.path(c.Initrd), "-append", kernelArguments(c),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", files.add(qmp)), "-mon", "chardev=qmp,mode=control",
		"-device", c.device("virtio-serial")+",id=serial,max_ports=2",
		"-chardev", fmt.Sprintf("socket,id=agent,fd=%d", files.add(agent)),
		"-device", "virtserialport,bus=serial.0,chardev=agent,name="+c.Agent,
		"-add-fd", fmt.Sprintf("fd=%d,set=1", files.add(c.Console)),
		"-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console",
		"-device", c.device("virtio-rng"), "-device", "pvpanic",
		"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	)
	for i, d := range c.Disks {
		onOff := "off"
		if d.ReadOnly {
			onOff = "on"
		}
		if d.File == nil {
			args = append(args, "-blockdev", fmt.Sprintf("driver=null-co,node-name=disk%d,read-only=%s,size=%d,read-zeroes=on", i, onOff, d.Size))
		} else {
			args = append(args,
				"-add-fd", fmt.Sprintf("fd=%d,set=%d", files.add(d.File), 2+i),
				"-blockdev", fmt.Sprintf("driver=raw,node-name=disk%d,read-only=%s,discard=unmap,file.driver=file,file.filename=/dev/fdset/%d", i, onOff, 2+i))
		}
		args = append(args,
			"-device", fmt.Sprintf("%s,drive=disk%d,serial=%s", c.device("virtio-blk"), i, d.Serial))
	}
	for i, s := range c.Shares {
		args = append(args,
			"-chardev", fmt.Sprintf("socket,id=share%d,fd=%d", i, files.add(s.Socket)),
			"-device", fmt.Sprintf("%s,chardev=share%d,tag=%s", c.device("vhost-user-fs"), i, s.Tag))
	}
	if c.Sockets != nil && c.Saved == nil { // else it is plugged in
		args = append(args, "-device", fmt.Sprintf("%s,guest-cid=%d,vhostfd=%d", c.device("vhost-vsock"), c.Sockets.CID, files.add(c.Sockets.File)))
	}
	for _, n := range c.Networks {
		args = append(args, "-netdev", n.Frames.argument(n.ID, files), "-device", n.Frames.deviceArgument(c.device("virtio-net"), n.ID, n.MAC))
	}
	if !c.MicroVM {
		args = append(args, rootPorts()...)
	}
	if c.Saved != nil {
		args = append(args, "-incoming", "defer")
	}
	return args
}

// rootPorts are what devices are plugged in at.
func rootPorts() (args []string) {
	for i := range allPorts {
		args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=port%d,chassis=0,slot=%d,bus=pcie.0,io-reserve=0", i, i+1))
	}
	return args
}

// board is the kind of machine. Devices of a microvm are of version 1 of virtio only if
// it is said; virtiofsd takes no others.
func (c Config) board() []string {
	const all = "mem-merge=off,dump-guest-core=off,memory-backend=mem"
	if c.MicroVM {
		return []string{"-M", "microvm,acpi=on,pit=off,pic=off,rtc=on," + all, "-global", "virtio-mmio.force-legacy=false"}
	}
	return []string{"-M", "q35,smbus=off,sata=off,usb=off,hpet=off,vmport=off," + all}
}

// device is what a device is called that is on the machine's bus.
func (c Config) device(kind string) string {
	if c.MicroVM {
		return kind + "-device"
	}
	return kind + "-pci"
}

// accelerator is the option -accel.
func (c Config) accelerator() string {
	if c.Accelerator == TCG {
		return fmt.Sprintf("tcg,tb-size=%d", TranslationBytes>>20)
	}
	return string(c.Accelerator)
}

// model is all that the processors, or their emulation, can do.
func (c Config) model() string {
	if c.Accelerator == TCG {
		return "max"
	}
	return "host"
}

// memoryBackend is the kind of object that the guest's memory is.
func memoryBackend(c Config) string {
	switch {
	case c.Saved != nil && !c.Shared:
		return "memory-backend-file,mem-path=" + memoryPath + ",share=off"
	case c.Memory != nil:
		return "memory-backend-file,mem-path=" + memoryPath + ",share=on"
	case len(c.Shares) > 0: // the daemon that serves them looks into it
		return "memory-backend-memfd,share=on"
	}
	return "memory-backend-ram"
}

// kernelArguments make the guest boot fast and end with its first panic
// (Documentation/admin-guide/kernel-parameters.txt).
func kernelArguments(c Config) string {
	args := "console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cryptomgr.notests no_timer_check random.trust_cpu=on 8250.nr_uarts=1 i8042.noaux i8042.nokbd"
	if c.Accelerator == TCG {
		args += " mitigations=off nokaslr" // nothing runs at full speed, and nobody's secrets are near
	}
	if c.KernelArguments != "" {
		args += " " + c.KernelArguments
	}
	return args
}

// inherited are the files that the process gets, from descriptor 3 on.
type inherited struct{ all []*os.File }

func (i *inherited) add(f *os.File) int {
	i.all = append(i.all, f)
	return 2 + len(i.all)
}

func (i *inherited) path(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", i.add(f)) }
