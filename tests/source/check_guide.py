#!/usr/bin/env python3
"""docs/guide.md against its promises: check_guide.py TREE. Prints one breach per line.

Every section of the guide is there, in the guide's order; every block that is marked as tested is used by an
integration test, and every block that a test asks for is there.
"""

import pathlib
import re
import sys

# The headings of the guide ("Complete Guide to Automated Port Scan Attack Detection and Prevention", 2025-08-26).
SECTIONS = (
    "What is Portsentry?", "How Portsentry Works",
    "Installing Portsentry on Linux", "Ubuntu/Debian Installation", "CentOS/RHEL/Fedora Installation",
    "Compiling from Source",
    "Portsentry Configuration Files", "Main Configuration Files", "Understanding portsentry.conf",
    "Portsentry Operation Modes", "1. Basic Port Binding Mode", "2. Stealth Scan Detection Mode",
    "3. Advanced Stealth Detection",
    "Configuring Automatic Blocking", "Example iptables Integration",
    "Practical Configuration Examples", "Basic Security Configuration", "Whitelist Configuration",
    "Starting and Managing Portsentry", "Starting Portsentry Service", "Manual Startup Options",
    "Monitoring and Logging", "Log File Locations", "Checking Blocked IPs",
    "Advanced Configuration Techniques", "Custom Response Scripts", "Integration with Fail2ban",
    "Performance Optimization", "Resource Management", "Optimizing Port Lists",
    "Troubleshooting Common Issues", "Portsentry Won't Start", "False Positives", "Log Analysis",
    "Security Best Practices", "Layered Security Approach", "Configuration Hardening",
    "Monitoring and Alerting Setup", "Email Notifications", "SIEM Integration",
    "Conclusion",
)


def check(guide, used):
    """`used`: the names that tests ask for."""
    breaches = []
    headings = re.findall(r"^##+ (.+)$", guide, re.M)
    for section in SECTIONS:
        if section not in headings:
            breaches.append(f"the guide's section {section!r} is missing")
    known = [heading for heading in headings if heading in SECTIONS]
    if known != [section for section in SECTIONS if section in known]:
        breaches.append("the sections are not in the guide's order, or one is there twice")
    for heading in headings:
        if heading not in SECTIONS:
            breaches.append(f"{heading!r} is no section of the guide")
    marks = re.findall(r"<!-- tested: (\S+) -->", guide)
    blocks = re.findall(r"^<!-- tested: ([\w-]+) -->\n```\w*\n.*?^```$", guide, re.S | re.M)
    for name in sorted(set(marks) | used):
        if marks.count(name) > 1:
            breaches.append(f"block {name}: there is more than one")
        if name not in blocks:
            breaches.append(f"block {name}: " + ("no fenced block below its mark" if name in marks else
                                                 "a test asks for it, and it is not there"))
        if name not in used:
            breaches.append(f"block {name}: marked as tested, and no test runs it")
    return breaches


def main():
    tree = pathlib.Path(sys.argv[1])
    tests = "\n".join(path.read_text() for path in (tree / "tests/integration").glob("test_*.py"))
    breaches = check((tree / "docs/guide.md").read_text(), set(re.findall(r'\bblock\("([\w-]+)"\)', tests)))
    for breach in breaches:
        print(f"docs/guide.md: {breach}")
    print(f"{len(breaches)} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
