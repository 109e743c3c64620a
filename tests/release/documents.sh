# shellcheck shell=bash disable=SC2154  # read by check.sh, which sets the variables
# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Steps about what is written beside the code.

step_docs() {
  (cd "$tree" && PATH=$tools/bin:$PATH antsibull-docs lint-collection-docs . --plugin-docs --skip-rstcheck \
    --validate-collection-refs=self --disallow-unknown-collection-refs)
}

step_site() { make -C "$checkout" docs; }

# Licence and copyright of every file, by its header or by .reuse/dep5. The licence's text lies where GitHub and Galaxy
# look for it; REUSE wants it in a folder, which only the copy has.
step_licences() {
  mkdir "$tree/LICENSES"
  cp "$tree/LICENSE" "$tree/LICENSES/GPL-3.0-or-later.txt"
  "$tools/bin/reuse" --root "$tree" --no-multiprocessing lint --lines
}

# What `pre-commit` does to a commit, done to all files.
step_hooks() {
  cd "$checkout" && PRE_COMMIT_HOME=$work/pre-commit "$tools/bin/pre-commit" run --all-files
}
