# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's dpdk-testpmd, as a driver or as a back end of virtio."""
import os
import re
import subprocess

import rig


class Testpmd:
    """A dpdk-testpmd with a prompt, whose forwarding core is this CPU. What it says is in the log. No huge pages."""

    def __init__(self, log, cpu, devices, options):
        self.said = open(log, "rb")
        self.said.seek(0, os.SEEK_END)
        self.process = rig.start(
            "dpdk-testpmd", "--lcores", f"0@{min(os.sched_getaffinity(0))},1@{cpu}", "--no-huge", "-m", "512", "--no-pci",
            "--no-telemetry", "--file-prefix", os.path.basename(log), "--log-level=pmd.net.virtio.init:debug", *sum((["--vdev", device] for device in devices), []),
            "--", "-i", "--nb-cores=1", "--total-num-mbufs=8192", "--no-mlockall", "--no-lsc-interrupt", *options,
            stdin=subprocess.PIPE, stdout=open(log, "ab"), stderr=subprocess.STDOUT)
        said = self.prompt()
        if "Start ports failed" in said:
            raise RuntimeError(f"testpmd cannot start: {said[-600:]}")
        agreed = re.findall("features after negotiate = ([0-9a-f]+)", said)
        self.features = int(agreed[-1], 16) if agreed else 0

    def prompt(self):
        """What it prints until it prompts."""
        said = b""

        def prompts():
            nonlocal said
            said += self.said.read()
            return b"testpmd> " in said or self.process.poll() is not None
        rig.wait_for("testpmd's prompt", prompts)
        if self.process.poll() is not None:
            raise RuntimeError(f"testpmd ended: {said[-600:].decode(errors='replace')}")
        return said.decode(errors="replace")

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.prompt()

    def quit(self):
        self.process.stdin.write(b"stop\nquit\n")
        self.process.stdin.close()
        self.process.wait(30)
