// One binary with etcd, every Kubernetes component, kubectl and CoreDNS, so that a real single-node cluster needs one build.
//
// The component is the first argument, or the name that the binary is called by (a link named kubectl is kubectl).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// CoreDNS registers its flags with the process; kubectl takes every flag of the process for its own, where -p collides.
var ofCoreDNS = []string{"conf", "dns.port", "p", "pidfile", "plugins", "quiet", "version"}

func main() {
	components := map[string]func() *cobra.Command{
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllers.NewControllerManagerCommand,
		"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
		"kube-proxy":              proxy.NewProxyCommand,
		"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
		"kubectl":                 kubectl.NewDefaultKubectlCommand,
	}
	name := filepath.Base(os.Args[0])
	if _, linked := components[name]; !linked {
		if len(os.Args) < 2 {
			usage(components)
		}
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return
	case "coredns":
		coremain.Run()
		return
	}
	command, known := components[name]
	if !known {
		usage(components)
	}
	flag.CommandLine = without(flag.CommandLine, ofCoreDNS)
	os.Exit(cli.Run(command()))
}

// without returns a copy of the flags that lacks the named ones.
func without(flags *flag.FlagSet, names []string) *flag.FlagSet {
	kept := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	flags.VisitAll(func(f *flag.Flag) {
		for _, name := range names {
			if f.Name == name {
				return
			}
		}
		kept.Var(f.Value, f.Name, f.Usage)
	})
	return kept
}

func usage(components map[string]func() *cobra.Command) {
	names := []string{"etcd", "coredns"}
	for name := range components {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: kube COMPONENT [flags], where COMPONENT is one of %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
