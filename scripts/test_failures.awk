# What failed, from the output of one run of bun test or deno test: for each failed test its file, its name and the first
# and last lines of its error. Output in which no test failed gives its last lines: the program itself broke then. Of a long line
# both ends are shown: what another program printed stands in one line, and what it died of at its end.
BEGIN { LINES = 10; LAST = 5; HEAD = 200; TAIL = 500; shown = 0; heldCount = 0; file = "" }

{ last[NR % LINES] = $0 }

# Bun: a file's heading, the error, and then the name of the test.
/^tests\/[^ ]*\.test\.ts:$/ { file = substr($0, 1, length($0) - 1); heldCount = 0; next }
/^\(fail\) / { show(file " " $0); late = 1; next }
/^\((pass|skip|todo)\) / { heldCount = 0; next }
late && /^  \^ / { say($0) }
{ late = 0 }
/^error: / && !denoErrors { heldCount = 0; holding = 1 }
/^# Unhandled error/ { unhandled = 1; next }
unhandled && /^-+$/ { if (heldCount > 0) { show(file " unhandled error between tests"); unhandled = 0 }; next }

# Deno: a part of the output that has nothing else, the name before the error.
/^ ERRORS *$/ { denoErrors = 1; next }
/^ FAILURES *$/ { denoErrors = 0; next }
denoErrors && / => / { print $0; shown++; printed = 0; next }
denoErrors { if ($0 != "" && printed++ < LINES) say($0); next }

holding && $0 != "" { held[heldCount++] = $0 }

END {
  if (shown > 0) exit
  print "no test failed, but the output ended so:"
  for (line = NR - LINES + 1; line <= NR; line++) if (line > 0) say(last[line % LINES])
}

function show(title, i) {
  print title
  for (i = 0; i < heldCount; i++) {
    if (i == LINES && heldCount > LINES + LAST) {
      print "    …"
      i = heldCount - LAST
    }
    say(held[i])
  }
  heldCount = holding = 0
  shown++
}

function say(line) {
  if (length(line) > HEAD + TAIL) line = substr(line, 1, HEAD) " … " substr(line, length(line) - TAIL + 1)
  print "    " line
}
