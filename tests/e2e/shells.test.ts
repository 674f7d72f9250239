// What the binary prints for shells and for man(1), taken by these programs themselves.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../support/program.ts";
import { tandemPath } from "../support/tandem.ts";

const dir = mkdtempSync(join(tmpdir(), "tandem-shells-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
async function printed(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(tandemPath(), args);
  expect([code, stderr]).toEqual([0, ""]);
  const path = join(dir, args.join("-"));
  writeFileSync(path, stdout);
  return path;
}

test("bash completes commands, words, flags, values and files", async () => {
  const script = await printed("completion", "bash");
  writeFileSync(join(dir, "servers.toml"), "");
  const completed = async (...words: string[]): Promise<string[]> => {
    const complete = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tandem; printf "%s\\n" "${COMPREPLY[@]}"';
    const { code, stdout, stderr } = await run("bash", ["--norc", "-uc", complete, "bash", script, ...words], { cwd: dir });
    expect([code, stderr]).toEqual([0, ""]);
    return stdout.trim().split("\n");
  };
  expect(await completed("tandem", "st")).toEqual(["status"]);
  expect(await completed("tandem", "--ac")).toEqual(["--ack"]);
  expect(await completed("tandem", "--ack", "")).toEqual(["both", "lead", "any"]);
  expect(await completed("tandem", "dev", "--ack", "=", "b")).toEqual(["both"]);
  expect(await completed("tandem", "dev", "--ack", "=")).toEqual(["both", "lead", "any"]);
  expect(await completed("tandem", "-c", "ser")).toEqual(["servers.toml"]);
  for (const flag of ["--log-file", "--pid-file", "--state-dir", "--admin-token-file"]) expect(await completed("tandem", flag, "ser")).toEqual(["servers.toml"]);
  expect(await completed("tandem", "check", "ser")).toEqual(["servers.toml"]);
  expect((await completed("tandem", "ring", "")).slice(0, 3)).toEqual(["explain", "show", "diff"]);
  expect(await completed("tandem", "watch", "--t")).toEqual(["--timeout", "--track-file"]);
  expect(await completed("tandem", "--port", "")).toEqual([""]);
});

test("fish and zsh take theirs", async () => {
  const fish = await printed("completion", "fish");
  if (Bun.which("fish") === null) console.log("fish did not run: it is missing");
  else {
    const { stdout, stderr } = await run("fish", ["--no-config", "-c", `source ${fish}; complete -C 'tandem ring '; complete -C 'tandem --ack '; complete -C 'tandem --log-file ser'`], { cwd: dir });
    expect(stderr).toBe("");
    expect(stdout.split("\n").map((line) => line.split("\t")[0])).toEqual(["diff", "explain", "show", "any", "both", "lead", "servers.toml", ""]);
  }
  const zsh = await printed("completion", "zsh");
  if (Bun.which("zsh") === null) return console.log("zsh did not run: it is missing");
  const loaded = await run("zsh", ["-f", "-c", `autoload -U compinit; compinit -u -D; source ${zsh}; whence -w _tandem; print $_comps[tandem]`]);
  expect([loaded.code, loaded.stdout, loaded.stderr]).toEqual([0, "_tandem: function\n_tandem\n", ""]);
});

test("zsh completes as it is typed: commands, words, flags, values and files, joined or apart", async () => {
  const script = await printed("completion", "zsh");
  if (Bun.which("zsh") === null) return console.log("zsh did not run: it is missing");
  writeFileSync(join(dir, "servers.toml"), "");
  const completed: Record<string, string> = {
    "tandem stat": "tandem status ", "tandem ring expl": "tandem ring explain ", "tandem --ac": "tandem --ack=", "tandem --ack l": "tandem --ack lead ", "tandem --ack=l": "tandem --ack=lead ",
    "tandem -c ser": "tandem -c servers.toml ", "tandem -cser": "tandem -cservers.toml ", "tandem --log-file=ser": "tandem --log-file=servers.toml ",
    "tandem check ser": "tandem check servers.toml ", "tandem status --js": "tandem status --json ", "tandem --port 5 --ri": "tandem --port 5 --ring=",
  };
  // A shell at a terminal, in which Ctrl-T completes what was typed, shows it, and empties the line.
  const shell = `zmodload zsh/zpty; zpty shell zsh -f -i
    zpty -w shell "cd $1; autoload -U compinit; compinit -u -D; source $2; show() { zle complete-word; print -r -- \\<\\$BUFFER\\>; BUFFER= }; zle -N show; bindkey '^T' show; PS1='HE''RE'"
    zpty -r shell shown '*HERE*'
    for line in "\${@:3}"; do zpty -n -w shell "$line"$'\\x14'; zpty -r shell shown $'*<*>*'; print -r -- "\${\${shown##*<}%>*}"; done`;
  const { stdout, stderr } = await run("timeout", ["50", "zsh", "-f", "-c", shell, "zsh", dir, script, ...Object.keys(completed)]);
  expect([stdout.split("\n"), stderr]).toEqual([[...Object.values(completed), ""], ""]);
}, 60_000);

test("an unknown shell is refused with those that are known", async () => {
  expect(await run(tandemPath(), ["completion", "tcsh"])).toMatchObject({ code: 2, stderr: "tandem: completion tcsh: no such shell; allowed: bash, zsh, fish\n" });
  expect(await run(tandemPath(), ["completion"])).toMatchObject({ code: 2, stderr: "tandem: completion: for which shell; allowed: bash, zsh, fish\n" });
});

test("the manual page is roff without a warning", async () => {
  const page = await printed("man");
  if (Bun.which("mandoc") === null) console.log("mandoc did not run: it is missing");
  else {
    const { stdout, stderr } = await run("mandoc", ["-Tlint", "-W", "warning", page]);
    // A date would make two builds of one commit differ.
    expect(`${stdout}${stderr}`.split("\n").filter((line) => line !== "" && !line.includes("missing date"))).toEqual([]);
  }
  if (Bun.which("groff") === null) return console.log("groff did not run: it is missing");
  const shown = await run("groff", ["-man", "-ww", "-Tutf8", "-P-c", page]);
  expect([shown.code, shown.stderr]).toEqual([0, ""]);
  expect(shown.stdout).toContain("--track-file");
});
