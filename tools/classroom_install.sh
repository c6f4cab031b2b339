#!/usr/bin/env bash
# Installs the grader on a runner of GitHub's: its outer ring, the course, and nothing of the students'.
set -euo pipefail
cd "$(dirname "$0")/.."
sudo apt-get update
sudo apt-get install --yes bubblewrap
sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0 # Ubuntu forbids what bubblewrap needs
python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt '.[labs]'
